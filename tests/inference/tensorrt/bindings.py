"""The real TensorRT bindings, imported where TensorRT's libraries are not.

The package `tensorrt_cu13_bindings` holds the Python bindings alone. Their entry points into the libraries are stubbed
with a tiny C file that answers null, which is enough to look every name up and to use what needs no library:
enumerations, shapes, and the base classes of logger and progress monitor. Nothing can be built or run this way.
"""

import ctypes
import functools
import importlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REQUIRE_ALL

ENTRY_POINTS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
LIBRARIES = ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11")


@functools.cache
def real_bindings() -> ModuleType:
    """TensorRT's bindings: with their libraries where these are installed, else with stubs."""
    if importlib.util.find_spec("tensorrt") is not None:
        return importlib.import_module("tensorrt")
    if shutil.which("gcc") is None:
        message = "checking TensorRT's names needs gcc"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)
    with tempfile.TemporaryDirectory() as folder:
        for library in LIBRARIES:
            ctypes.CDLL(str(_stub(Path(folder), library)), mode=ctypes.RTLD_GLOBAL)
        return importlib.import_module("tensorrt_bindings")


def _stub(folder: Path, library: str) -> Path:
    source, target = folder / "stub.c", folder / library
    source.write_text("\n".join(f"void *{name}(void) {{ return 0; }}" for name in ENTRY_POINTS))
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(target), str(source)]
    subprocess.run(command, check=True)
    return target
