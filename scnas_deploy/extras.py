"""Heavy and optional imports, loaded when first needed and named when missing."""

import importlib
from types import ModuleType

from scnas_deploy.errors import MissingExtraError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: Dotted module name.
        extra: The extra of this package that brings it.
        purpose: What it is needed for, the subject of the error.

    Raises:
        MissingExtraError: If it is not installed; the message names the install command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.split(".")[0]):
            raise
        raise MissingExtraError(module.split(".")[0], extra, purpose) from error
