"""Architecture search: the space, operation sampling, the supernet and the bi-level loop."""
