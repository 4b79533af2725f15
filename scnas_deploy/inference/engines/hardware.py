"""What there is here for engines on a GPU, asked without importing any of their libraries."""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

Provider = Literal["cuda", "tensorrt"]
"""ONNX Runtime's ways to compute on a GPU."""


@cache
def has_gpu() -> bool:
    """Whether NVIDIA's driver shows a GPU to this process.

    Asking starts the driver, which a process forked off afterwards cannot use; start such a one by other means.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def has_provider(provider: Provider) -> bool:
    """Whether the installed ONNX Runtime brings a provider."""
    return provider_library(provider).is_file()


def provider_library(name: Provider | Literal["shared"]) -> Path:
    """Where the installed ONNX Runtime keeps a provider's library, or the one that all of them share."""
    found = find_spec("onnxruntime")
    folders = found.submodule_search_locations if found is not None else None
    folder = Path(folders[0]) if folders else Path("onnxruntime")
    return folder / "capi" / f"libonnxruntime_providers_{name}.so"
