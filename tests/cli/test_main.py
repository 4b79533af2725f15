"""Help is instant and complete."""

import json

import pytest

from tests.cli.test_options import OPTIONS


@pytest.mark.parametrize("command", [[], *(name.split() for name in OPTIONS)])
def test_help_of_every_command(scnas, command):
    assert "Usage" in scnas(*command, "--help").stdout


def test_help_loads_nothing_heavy(scnas):
    import subprocess
    import sys

    code = (
        "import sys; from scnas_deploy.cli.main import run; sys.argv = ['scnas', '--help']\n"
        "try: run()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'nibabel', 'SimpleITK', 'openvino', 'pydantic') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_wrong_option_is_a_usage_error(scnas):
    assert "No such option" in scnas("segment", "--nonsense", "x.nii", status=2).stderr


def test_doctor_says_what_is_installed(scnas):
    result = json.loads(scnas("doctor", "--json").stdout)
    assert all(result["packages"][name] for name in ("torch", "nncf", "safetensors"))
    assert result["models"] == str(scnas.models)
    assert "openvino" in scnas("doctor").stdout
