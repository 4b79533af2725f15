"""scnas export PACKAGE: what a package alone is made into."""

import json
import subprocess
import sys

import pytest

from scnas_deploy.inference.triton_repository import CONFIG


def test_a_repository_is_written_once_and_then_left(scnas, exported):
    first = scnas("export", exported.package, "--triton", "repository").stdout
    assert "Wrote version 1 of model phantom in repository" in first
    assert "tritonserver --model-repository repository" in first
    assert (scnas.folder / "repository" / "phantom" / CONFIG).is_file()
    assert "holds this network already" in scnas("export", exported.package, "--triton", "repository").stdout


def test_under_another_name(scnas, exported):
    scnas("export", exported.package, "--triton", "repository", "--as", "liver-2")
    assert (scnas.folder / "repository" / "liver-2" / "1" / "model.onnx").is_file()
    arguments = ("export", exported.package, "--triton", "repository", "--as", "a/b")
    assert "letters, digits and" in scnas.refused(*arguments, status=2)


def test_in_a_precision_of_the_package(scnas, in_all_precisions):
    for number, precision in enumerate(("float32", "float16"), 1):
        scnas("export", in_all_precisions.package, "--triton", "repository", "--precision", precision)
        record = json.loads((scnas.folder / "repository" / "precisions" / str(number) / "scnas.json").read_text())
        assert record["precision"] == precision
    arguments = ("export", in_all_precisions.package, "--triton", "repository", "--precision", "float8")
    assert "one of the package's, float32, float16, int8" in scnas.refused(*arguments, status=2)


def test_a_package_and_nothing_to_make_of_it(scnas, exported):
    assert "--triton" in scnas.refused("export", exported.package, status=2)


@pytest.mark.parametrize("option", [("-o", "x.scnas"), ("--name", "train"), ("--no-install",), ("--no-weights",)])
def test_options_that_only_a_run_has_are_refused(scnas, exported, option):
    name = {"-o": "--output"}.get(option[0], option[0])
    refused = scnas.refused("export", exported.package, "--triton", "repository", *option, status=2)
    assert f"how a run is exported, found {name}" in refused


@pytest.mark.parametrize("precision", ["float16", "int8", "float8"])
@pytest.mark.parametrize("wanted", [("--triton", "repository"), ("--trt",)])
def test_a_precision_that_a_run_is_not_exported_in_is_refused_first(scnas, wanted, precision):
    refused = scnas.refused("export", *wanted, "--precision", precision, status=2)
    assert "one of those that are exported: float32, found" in refused


def test_what_is_no_package_is_refused(scnas, tmp_path):
    assert "no such file" in scnas.refused("export", "none.scnas", "--triton", "repository", status=3)


def test_pytorch_is_not_imported(tmp_path, exported):
    code = (
        "import sys; from scnas_deploy.cli.main import run\n"
        f"sys.argv = ['scnas', 'export', {str(exported.package)!r}, '--triton', 'repository']\n"
        "try: run()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "print([name for name in ('torch', 'monai', 'onnx', 'google.protobuf') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
