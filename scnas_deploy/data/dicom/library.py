"""The one place that imports DICOM libraries: late, since that takes a quarter of a second, and set up for our use."""

import warnings
from functools import cache
from typing import Any


@cache
def pydicom() -> Any:
    """Return the library.

    Its warnings quote the values they are about, which may be a patient's name: what we use of a file we check
    ourselves, and the warnings stay away. The same for what it finds wrong with values that nobody asked for.
    """
    import pydicom as library

    library.config.settings.reading_validation_mode = library.config.IGNORE
    warnings.filterwarnings("ignore", module=r"pydicom\.")
    return library


@cache
def csareader() -> Any:
    """Return nibabel's reader of Siemens' headers, without its warning that it reads no other maker's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom import csareader as library
    return library
