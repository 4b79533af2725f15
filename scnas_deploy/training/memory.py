"""How much memory a process has taken at its highest, and keeping what it has."""

import ctypes
import platform
import resource
from typing import Final

import torch


def peak_bytes() -> int:
    """Highest memory so far: allocated on the GPU where there is one, resident on the CPU."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next step instead of returning it to the system.

    A step frees and takes the same gigabyte again; touching fresh pages cost a tenth of its time. Only glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
