"""How much memory a process has taken at its highest."""

import resource

import torch


def peak_bytes() -> int:
    """Highest memory so far: allocated on the GPU where there is one, resident on the CPU."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
