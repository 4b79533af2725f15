"""DICOM series as volumes: read, judged by the rules of a regular grid, and placed in the patient.

Frame of all coordinates in this folder: the patient's LPS+ millimetres (PS3.3 C.7.6.2.1.1), until
:mod:`scnas_deploy.data.dicom.volume` turns them to RAS+ once.
"""
