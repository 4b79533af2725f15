"""Networks as data: the genotype (torch-free), and the builder that turns it into PyTorch modules."""
