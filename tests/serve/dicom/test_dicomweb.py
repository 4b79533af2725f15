import pytest

from scnas_deploy.serve.dicom.dicomweb import only_part, parsed, values

MULTIPART = 'multipart/related; type="application/dicom"; boundary="a b"'


@pytest.mark.parametrize(
    "content",
    [
        b"--a b\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n\r\n--\r\n--a b--\r\n",
        b"ignored\r\n--a b\r\nContent-Type: application/dicom\r\nA: b\r\n\r\nDICM\r\n\r\n--\r\n--a b--",
        b"--a b\r\n\r\nDICM\r\n\r\n--\r\n--a b\r\n\r\nanother\r\n--a b--\r\n",
    ],
)
def test_the_first_part_is_taken_as_it_is(content):
    assert only_part(content, MULTIPART) == b"DICM\r\n\r\n--"


@pytest.mark.parametrize("content", [b"", b"--a b", b"--a b\r\n\r\ncut of", b"\r\n\r\n\r\n"])
def test_half_an_answer_is_none(content):
    assert only_part(content, MULTIPART) == b""


def test_a_single_object_is_itself():
    assert only_part(b"DICM", "application/dicom") == b"DICM"
    assert only_part(b"DICM", "") == b"DICM"


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_nothing(content):
    assert parsed(content) is None


@pytest.mark.parametrize("found", [None, 1, [], {}, {"a": 1}, {"a": {}}, {"a": {"Value": 1}}, {"a": {"Value": None}}])
def test_values_that_are_not_there(found):
    assert values(found, "a") == []


def test_values():
    assert values({"a": {"vr": "UI", "Value": ["1.2"]}}, "a") == ["1.2"]
