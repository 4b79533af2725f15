"""No file crashes the reader, stops it, or fills the memory; each is either read or reported."""

import json
import subprocess
import sys

import pytest

FILES = 2000


@pytest.mark.soak
def test_damaged_files_are_read_or_reported(scnas_data):
    command = [sys.executable, "-m", "tests.data.dicom.damage", scnas_data / "dicom", str(FILES)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=1500)
    assert ended.returncode == 0
    result = json.loads(ended.stdout)
    assert sum(result["outcomes"].values()) == FILES
    assert result["outcomes"]["damaged"] > FILES / 4
    assert result["longest_s"] < 5
    assert result["peak_bytes"] < 1 << 30
