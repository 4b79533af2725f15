import json
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from scnas_deploy.documents import Frozen, parse_document, read_document, to_json
from scnas_deploy.errors import FormatError


class Inner(Frozen):
    size: tuple[int, int]


class Note(Frozen):
    """A document of this test."""

    schema_version: Annotated[Literal[2], Field(alias="schema")] = 2
    text: str
    weight: float = 0.0
    inner: Inner | None = None


def parse(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse_document("note.json", text, Note, made_by="scnas note")


def refused(content, *words):
    with pytest.raises(FormatError) as caught:
        parse(content)
    text = str(caught.value)
    assert text.startswith("note.json")
    assert "\n" not in text
    assert "scnas note" in caught.value.remedy
    for word in words:
        assert word in text


@given(
    st.builds(
        Note,
        text=st.text(st.characters(exclude_categories=["Cs"])),
        weight=st.floats(allow_nan=False, allow_infinity=False),
        inner=st.none() | st.builds(Inner, size=st.tuples(st.integers(), st.integers())),
    )
)
def test_a_written_document_reads_as_the_same(note):
    assert parse(to_json(note).encode()) == note


def test_the_text_names_the_schema_and_ends_with_a_line():
    text = to_json(Note(text="a"))
    assert json.loads(text)["schema"] == 2
    assert text.endswith("}\n")


def test_a_file_is_read(tmp_path):
    (tmp_path / "note.json").write_text(to_json(Note(text="ä")), encoding="utf-8")
    assert read_document(tmp_path / "note.json", Note, made_by="scnas note").text == "ä"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FormatError) as caught:
        read_document(tmp_path / "note.json", Note, made_by="scnas note")
    assert "no such file" in caught.value.found
    assert caught.value.remedy == "Make one with scnas note"


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(FormatError):
        read_document(tmp_path, Note, made_by="scnas note")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xfd", b"note", b'{"schema": 2,}'], ids=repr)
def test_damaged_json_is_refused(content):
    refused(content, "valid JSON")


def test_json_nested_beyond_reason_is_refused():
    refused(b'{"schema": 2, "text": ' + b"[" * 200_000)


@pytest.mark.parametrize("version", [1, 3, "2", None, [2]])
def test_another_version_is_refused(version):
    refused({"schema": version, "text": "a"}, "Note schema 2", f"schema {version!r}")


@pytest.mark.parametrize("content", [[], "note", 2, None])
def test_content_that_is_no_table_is_refused(content):
    refused(content, "schema None")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, "text"),
        ({"text": 1}, "text"),
        ({"text": "a", "unknown": 1}, "unknown"),
        ({"text": "a", "inner": {"size": [1, "x"]}}, "inner.size.1"),
        ({"text": "a", "weight": "heavy"}, "weight"),
    ],
)
def test_a_wrong_field_is_named(fields, place):
    refused({"schema": 2} | fields, f"field '{place}'")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number):
    refused(f'{{"schema": 2, "text": "a", "weight": {number}}}'.encode(), "weight")


def test_the_number_of_problems_is_told():
    refused({"schema": 2, "weight": "x", "odd": 1}, "3 problem(s)")


def test_a_document_is_not_changed_by_accident():
    with pytest.raises(ValidationError):
        Note(text="a").text = "b"
