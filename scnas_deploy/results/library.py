"""The one place that imports highdicom: late, since it takes half a second."""

import warnings
from functools import cache
from typing import Any

from scnas_deploy.data.dicom.library import pydicom


@cache
def highdicom() -> Any:
    """Return the library, with pydicom set up for our use; its warnings quote patients' names, and stay away."""
    pydicom()
    warnings.filterwarnings("ignore", module=r"highdicom\.")
    import highdicom as library
    import highdicom.sr

    assert library.sr is highdicom.sr
    return library
