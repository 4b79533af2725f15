"""The one place that sets up pynetdicom: late, and silenced, since it logs what the objects say of patients."""

import logging
from functools import cache
from typing import Any

from scnas_deploy.data.dicom.library import pydicom
from scnas_deploy.errors import MissingExtraError


def silence(*libraries: str) -> None:
    """Let nothing of what libraries log come through."""
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@cache
def pynetdicom() -> Any:
    """Return the library.

    Nothing of what it and pydicom log comes through: commands, identifiers and addresses are in there. Files are sent
    as they are, piece by piece, instead of being read and encoded anew.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import pynetdicom as library
        from pynetdicom import _config
    except ImportError as error:
        raise MissingExtraError("pynetdicom", "serve", "the DICOM node") from error
    pydicom()
    silence("pynetdicom", "pydicom")
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.STORE_SEND_CHUNKED_DATASET = True
    return library
