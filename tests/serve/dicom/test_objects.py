import io
import zlib

import pydicom
import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import (
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from scnas_deploy.errors import FormatError
from scnas_deploy.serve.dicom.objects import IMAGE_CLASSES, TRANSFER_SYNTAXES, Identity, identify, identify_file, is_uid
from tests.dicom_drawing import CLASSES, Drawing
from tests.serve.studies import encoded


def _identity(dataset) -> Identity:
    return Identity(dataset.StudyInstanceUID, dataset.SOPClassUID, dataset.SOPInstanceUID)


def _file(dataset, syntax=None) -> bytes:
    if syntax is not None:
        dataset.file_meta.TransferSyntaxUID = syntax
    return encoded(dataset)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_file_says_what_it_is(syntax):
    dataset = Drawing().plane(0)
    assert identify_file(_file(dataset, syntax)) == _identity(dataset)


def test_real_files_say_what_they_are(scnas_data):
    for path in sorted((scnas_data / "dicom").rglob("*.dcm"))[::7]:
        assert identify_file(path.read_bytes()) == _identity(pydicom.dcmread(path, stop_before_pixels=True)), path


def test_all_syntaxes_are_taken_that_can_be_decoded():
    """And no other: a sender that is refused one decompresses, or says so; an object taken would fail later."""
    assert set(TRANSFER_SYNTAXES) == {syntax for syntax in AllTransferSyntaxes if is_decoded(syntax)}
    assert len(TRANSFER_SYNTAXES) == len(set(TRANSFER_SYNTAXES))


def is_decoded(syntax):
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def test_images_of_three_modalities_are_taken():
    names = {pydicom.uid.UID(each).name for each in IMAGE_CLASSES}
    assert set(CLASSES.values()) <= set(IMAGE_CLASSES)
    assert names == {
        "CT Image Storage",
        "Enhanced CT Image Storage",
        "Legacy Converted Enhanced CT Image Storage",
        "MR Image Storage",
        "Enhanced MR Image Storage",
        "Legacy Converted Enhanced MR Image Storage",
        "Positron Emission Tomography Image Storage",
        "Enhanced PET Image Storage",
        "Legacy Converted Enhanced PET Image Storage",
    }


def test_what_lies_behind_the_identifiers_is_not_read():
    dataset = Drawing().plane(0)
    content = _file(dataset)
    cut = content[: content.index(dataset.SeriesInstanceUID.encode())]
    assert identify_file(cut) == _identity(dataset)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 200,
        b"\0" * 128 + b"DICM",
        b"\0" * 128 + b"DICM" + b"\xff" * 100,
        encoded(Drawing().plane(0))[:300],
    ],
)
def test_what_is_no_file_is_malformed(content):
    with pytest.raises(FormatError, match="a sound DICOM image"):
        identify_file(content)


def test_a_syntax_that_is_not_taken_is_said():
    content = _file(Drawing().plane(0)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
    with pytest.raises(FormatError, match="a transfer syntax that is not taken"):
        identify_file(content)


def test_a_bomb_is_inflated_no_further_than_its_identifiers():
    dataset = Drawing().plane(0)
    buffer = io.BytesIO(_file(dataset))
    inflated = buffer.getvalue()[buffer.getvalue().index(b"\x08\x00\x08\x00CS") :]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(inflated) + b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(200)) + packer.flush()
    assert identify(io.BytesIO(bomb), DeflatedExplicitVRLittleEndian) == _identity(dataset)


@pytest.mark.parametrize(
    "text", ["1.2.840.10008.1.2", "2.25.1168619197482264631474520442767733", "1.2.03", "1.2." + "3" * 60]
)
def test_uids(text):
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "1..2", "../1.2", "1.2/3", "1.2\n", "1.2a", "1.2." + "3" * 61, "\uff11.\uff12"]
)
def test_no_uids(text):
    assert not is_uid(text)
