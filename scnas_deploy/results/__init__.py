"""What a finished study becomes: NIfTI, DICOM SEG, measurement report, RTSTRUCT, preview; each proven."""
