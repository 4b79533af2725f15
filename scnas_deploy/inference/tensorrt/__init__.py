"""NVIDIA TensorRT: building an engine for this machine's GPU, keeping it, and running it. No PyTorch needed."""
