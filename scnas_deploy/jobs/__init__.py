"""The job ledger and the workers that live from it; needs neither PyTorch nor a server."""
