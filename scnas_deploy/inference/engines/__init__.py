"""Engines: what computes a network's answer to a batch of patches."""
