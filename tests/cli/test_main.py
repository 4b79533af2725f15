"""The surface of the command line is frozen; help is instant and complete."""

import json

import pytest
import typer

from scnas_deploy.cli.main import app

OPTIONS = {
    "init": {"dataset", "--project", "--skip-bad", "--json"},
    "search": {
        "--project", "--name", "--preset", "--fold", "--seed", "--epochs", "--steps-per-epoch", "--resume", "--json",
    },
    "train": {
        "--project", "--genotype", "--name", "--preset", "--fold", "--seed", "--stem-channels", "--epochs",
        "--steps-per-epoch", "--resume",
    },
    "evaluate": {"--project", "--name", "--model", "--fold", "--engine", "--json"},
    "export": {"--project", "--name", "--as", "--output", "--install"},
    "segment": {"study", "--model", "--output", "--engine", "--threads", "--force", "--json"},
    "models": {"--json"},
    "doctor": {"--json"},
}  # fmt: skip


def test_commands_and_options_are_these():
    commands = typer.main.get_command(app).commands
    found = {name: {_longest(parameter.opts) for parameter in command.params} for name, command in commands.items()}
    assert found == OPTIONS


def _longest(names):
    return max(names, key=len)


@pytest.mark.parametrize("command", [[], *([name] for name in OPTIONS), ["models", "install"], ["models", "default"]])
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
    assert result["packages"]["torch"]
    assert result["models"] == str(scnas.models)
    assert "openvino" in scnas("doctor").stdout
