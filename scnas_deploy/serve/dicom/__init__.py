"""The DICOM side of the server: a node that takes images, senders of results, and the look at what was missed."""
