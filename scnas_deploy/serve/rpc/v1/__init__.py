"""Code generated from proto/scnas/v1/segmentation.proto by proto/generate.py; not edited by hand."""
