"""The conformance statement claims what the code does, and no more."""

import re

import pydicom
import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from scnas_deploy.results.formats import Format, write_results
from scnas_deploy.serve.dicom import find, node, outcomes
from scnas_deploy.serve.dicom.objects import IMAGE_CLASSES, TRANSFER_SYNTAXES
from scnas_deploy.serve.dicom.upper_layer import MAX_PDU_BYTES
from scnas_deploy.serve.settings import DicomSettings, WorkSettings
from tests.deploy.tools import ROOT
from tests.results.conftest import drawn_result

STATEMENT = (ROOT / "docs" / "conformance.md").read_text()
UIDS = r"\d+(?:\.\d+)+"


def table(head: str) -> list[list[str]]:
    """Cells of the rows of the table with such a head."""
    text = STATEMENT[STATEMENT.index(head) :].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines()[2:]]


CLASSES = table("| SOP class | UID |")


def classes(*, as_user: str, as_provider: str) -> set[str]:
    return {uid for _, uid, user, provider in CLASSES if (user, provider) == (as_user, as_provider)}


def test_every_uid_has_its_name():
    known = [(name, uid) for name, uid, *_ in (*CLASSES, *table("| Transfer syntax |")) if UID(uid).name != uid]
    assert len(known) == len(CLASSES) + len(TRANSFER_SYNTAXES) - 1  # pydicom does not know label maps
    for name, uid in known:
        assert UID(uid).name == name


def test_what_is_received_is_what_the_node_takes():
    assert classes(as_user="no", as_provider="yes") == {*IMAGE_CLASSES, node._VERIFICATION}


def test_what_is_created_and_sent_is_what_results_are(tmp_path):
    formats = [each for each in Format if each is not Format.NIFTI]
    paths = write_results(drawn_result(tmp_path / "study", "axial"), tmp_path / "results", formats)
    made = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths if path.suffix == ".dcm"]
    asked = {find._FIND, find._MOVE}
    assert {each.SOPClassUID for each in made} | asked == classes(as_user="yes", as_provider="no")
    assert {each.file_meta.TransferSyntaxUID for each in made} == {pydicom.uid.ExplicitVRLittleEndian}
    assert {each.SpecificCharacterSet for each in made} == {"ISO_IR 192"}
    assert {each.SeriesNumber for each in made} <= {9001, 9002, 9003, 9004}


def test_nothing_goes_both_ways():
    assert not classes(as_user="yes", as_provider="yes")
    assert not classes(as_user="no", as_provider="no")


def test_transfer_syntaxes_are_those_of_the_node_in_its_order():
    rows = table("| Transfer syntax |")
    assert tuple(uid for _, uid, _ in rows) == TRANSFER_SYNTAXES
    for _, uid, decoded in rows:
        assert decoded == ("yes" if _is_decodable(uid) else "no"), uid


def _is_decodable(uid: str) -> bool:
    try:
        return get_decoder(uid).is_available
    except NotImplementedError:
        return False


def test_answers_of_the_node():
    said = {int(status, 16) for status, *_ in table("| Status | | Meaning |")}
    assert said == {node.SUCCESS, node.OUT_OF_RESOURCES, node.MISMATCH, node.MALFORMED, node.FAILED}


@pytest.mark.parametrize(
    ("row", "outcome"), [(0, outcomes.Outcome.ACCEPTED), (1, outcomes.Outcome.LATER), (2, outcomes.Outcome.NEVER)]
)
def test_what_a_status_is_taken_as(row, outcome):
    named = re.findall(r"\b([0-9AB][0-9A-Fx]{3})\b", table("| Status from the receiver |")[row][0])
    statuses = [int(each.replace("x", digit), 16) for each in named for digit in "05F"]
    statuses += [0xA900, 0xC000, 0x0122, 0x0124] if row == 2 else []
    assert statuses
    assert {outcomes.outcome_of(status) for status in statuses} == {outcome}


def test_figures_are_those_of_the_code():
    for text in (
        f"`max_associations` ({DicomSettings().max_associations})",
        f"Maximum PDU length offered: {MAX_PDU_BYTES:,} bytes",
        f"`deliveries` ({WorkSettings().deliveries})",
        f"listens on {DicomSettings().port} by default",
        f"(reason {node._REJECTIONS['called AE title'][-1]})",
        f"(reason {node._REJECTIONS['calling AE title'][-1]})",
    ):
        assert text in " ".join(STATEMENT.split())


def test_the_implementation_is_named_as_it_names_itself():
    import pynetdicom

    assert pynetdicom.PYNETDICOM_IMPLEMENTATION_UID in STATEMENT
    assert pynetdicom.PYNETDICOM_IMPLEMENTATION_VERSION in STATEMENT
