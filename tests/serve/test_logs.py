"""Logs: a line of JSON an event, and nothing that a library says of its values."""

import io
import json
import logging

import pytest

from scnas_deploy.errors import FormatError
from scnas_deploy.serve.logs import JsonFormatter, event, in_words, logger

PLANTED = "DOE^JOHN"


@pytest.fixture
def stream():
    stream, handler = io.StringIO(), logging.StreamHandler()
    handler.setStream(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def test_an_event_is_a_line_with_its_fields(stream):
    event(logger("serve.test"), logging.WARNING, "something happened", job=7, state="done")
    line = json.loads(stream.getvalue())
    assert (line["message"], line["job"], line["state"], line["level"]) == ("something happened", 7, "done", "warning")


def test_of_a_librarys_message_only_who_and_where_comes_through(stream):
    logging.getLogger("somebody.acse").error("Association of %s failed", PLANTED)
    logging.getLogger("py.warnings").warning(f"Invalid value for VR PN: {PLANTED}")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["logger"] for line in lines] == ["somebody.acse", "py.warnings"]
    assert PLANTED not in stream.getvalue()


def test_of_an_unexpected_error_only_kind_and_place_comes_through(stream):
    with pytest.raises(ValueError, match=r"DOE") as caught:
        int(PLANTED)
    assert in_words(caught.value).startswith("ValueError in test_logs.py, line ")
    logger("serve.test").error("it failed", exc_info=caught.value)
    assert PLANTED not in stream.getvalue()
    assert "ValueError" in json.loads(stream.getvalue())["error"]


def test_an_error_of_ours_keeps_its_words_without_its_subject():
    error = FormatError(PLANTED, expected="a mask", found="a photograph", remedy="Save the mask")
    assert in_words(error) == "expected a mask, found a photograph. Save the mask."
