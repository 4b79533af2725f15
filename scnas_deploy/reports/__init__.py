"""What a search, an evaluation or a bench has written, as pages. Torch-free."""
