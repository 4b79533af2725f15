"""Every Python snippet of the documents runs as printed, and every command it names exists."""

import re
import shutil
from pathlib import Path

import pytest
import typer

from scnas_deploy.cli.main import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "ARCHITECTURE.md")


def snippets(language: str) -> list[tuple[str, str]]:
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(name, code) for name in DOCUMENTS for code in fence.findall((ROOT / name).read_text())]


@pytest.mark.parametrize(("document", "code"), snippets("python"))
def test_python_snippets_run(document, code, exported, phantom_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(exported.package, "model.scnas")
    shutil.copy(phantom_dataset.cases[0].images[0], "study.nii.gz")
    exec(compile(code, document, "exec"), {})
    assert "ml" in capsys.readouterr().out
    assert list(tmp_path.glob("*mask*.nii.gz"))


def test_named_commands_exist():
    known = set(typer.main.get_command(app).commands)
    text = "".join((ROOT / name).read_text() for name in (*DOCUMENTS, "CHANGELOG.md", "CONTRIBUTING.md"))
    named = set(re.findall(r"`scnas ([a-z][a-z-]*)", text)) | set(
        re.findall(r"^scnas ([a-z][a-z-]*)", text, re.MULTILINE)
    )
    assert named
    assert named <= known


def test_named_files_exist():
    text = "".join((ROOT / name).read_text() for name in (*DOCUMENTS, "CONTRIBUTING.md"))
    named = set(
        re.findall(r"`((?:cli|data|networks|training|search|inference|export|tests|benchmarks)/[\w/]+\.py)", text)
    )
    missing = [name for name in named if not (ROOT / name).is_file() and not (ROOT / "scnas_deploy" / name).is_file()]
    assert named
    assert not missing
