"""The tutorial, from the first command to the segmentation in the PACS."""

import shutil

import pytest

from tests.deploy.tools import missing
from tests.docs.running import run_document
from tests.docs.snippets import ROOT
from tests.ports import free_port
from tests.serve.dicom.orthanc import PROGRAM

DOCUMENTED_PORTS = (4242, 8042, 8080, 11112)


@pytest.fixture
def clone(tmp_path):
    """What the tutorial finds in the folder of a clone."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("demo", "deploy", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("out", "__pycache__"))
    return folder


@pytest.mark.soak
def test_the_tutorial_ends_with_results_in_the_pacs(clone):
    if not PROGRAM.exists():
        missing("Orthanc")
    run_document("docs/tutorial.md", clone, ports={port: free_port() for port in DOCUMENTED_PORTS})
    tutorial = clone / "tutorial"
    assert {path.name for path in (tutorial / "results").iterdir()} == {
        "seg.dcm",
        "sr.dcm",
        "preview.dcm",
        "preview.png",
    }
    assert all((tutorial / name).is_file() for name in ("search.html", "page.html", "from-pacs.html"))
    assert '"SEG"' in (tutorial / "modalities.txt").read_text()
