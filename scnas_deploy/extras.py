"""Heavy and optional imports, loaded when first needed and named when missing."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

from scnas_deploy.errors import MissingExtraError

_REPORTS_USE = ("openvino", "nncf")
"""Both report each import to their maker's statistics through the package openvino_telemetry where it can be imported,
and do without where it cannot. A machine that holds patient data reports nothing."""


def check_installed(*modules: str, extra: str, purpose: str) -> None:
    """Refuse early, and without importing anything heavy, what an optional dependency is missing for.

    Raises:
        MissingExtraError: For the first of the top-level modules that is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(module, extra, purpose)


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: Dotted module name.
        extra: The extra of this package that brings it.
        purpose: What it is needed for, the subject of the error.

    Raises:
        MissingExtraError: If it is not installed; the message names the install command.
    """
    if module.split(".")[0] in _REPORTS_USE:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # cannot be imported from here on
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.split(".")[0]):
            raise
        raise MissingExtraError(module.split(".")[0], extra, purpose) from error


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Have libraries imported within the block do without an optional dependency, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # cannot be imported until it is taken away
    try:
        yield
    finally:
        del sys.modules[module]
