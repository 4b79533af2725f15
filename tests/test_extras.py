"""Optional imports: nothing of the makers' statistics comes with them."""

import subprocess
import sys

import pytest

IMPORTED = """
import sys
from scnas_deploy.extras import require
require({module!r}, extra="cpu", purpose="a test")
print([name for name in sys.modules if name.startswith("openvino_telemetry") and sys.modules[name]])
"""


@pytest.mark.parametrize("module", ["openvino", "nncf"])
def test_no_use_is_reported_to_the_makers(module):
    """Not under pytest, where NNCF leaves it out by itself."""
    command = [sys.executable, "-W", "ignore", "-c", IMPORTED.format(module=module)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


def test_a_nifti_study_needs_no_dicom_library():
    code = "import sys, scnas_deploy.inference.model; print({'pydicom', 'gdcm', 'requests', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_what_was_hidden_can_be_imported_afterwards():
    code = (
        "import scnas_deploy.data.nifti, pydicom; from nibabel.nicom import csareader; print(pydicom.dcmread.__name__)"
    )
    assert (
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True).stdout
        == "dcmread\n"
    )
