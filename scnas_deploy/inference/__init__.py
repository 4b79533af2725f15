"""Inference without PyTorch: tiling, engines, the model package reader, and whole studies."""
