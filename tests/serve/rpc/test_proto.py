"""The protocol: its committed code is what its definition says, and it stays compatible with what was released."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_ALL

ROOT = Path(__file__).resolve().parents[3]
PROTO = ROOT / "proto"
BUF = Path(sys.executable).with_name("buf")


@pytest.fixture
def buf(tmp_path):
    if not BUF.exists():
        message = "buf is not installed (pip install buf-bin)"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)

    def run(*arguments, folder=PROTO):
        environment = {"HOME": str(tmp_path), "BUF_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
        return subprocess.run([BUF, *arguments], cwd=folder, env=environment, capture_output=True, text=True)

    return run


def test_the_committed_code_is_what_the_definition_says(tmp_path):
    sys.path.insert(0, str(PROTO))
    try:
        from generate import TARGET, generate
    finally:
        sys.path.remove(str(PROTO))
    generate(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in TARGET.glob("segmentation_*")}
    assert made == committed, "run: python proto/generate.py"


def test_the_definition_is_well_formed(buf):
    for arguments in (("lint", "."), ("format", "--diff", "--exit-code", ".")):
        checked = buf(*arguments)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_definition_is_compatible_with_the_baseline(buf):
    checked = buf("breaking", ".", "--against", "baseline.binpb")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_field_that_changes_its_number_is_found(buf, tmp_path):
    folder = tmp_path / "changed" / "scnas" / "v1"
    folder.mkdir(parents=True)
    text = (PROTO / "scnas/v1/segmentation.proto").read_text()
    (folder / "segmentation.proto").write_text(text.replace("bool force = 7;", "bool force = 17;"))
    changed = tmp_path / "changed"
    (changed / "buf.yaml").write_text((PROTO / "buf.yaml").read_text())
    checked = buf("breaking", ".", "--against", str(PROTO / "baseline.binpb"), folder=changed)
    assert checked.returncode != 0
    assert "force" in checked.stdout
