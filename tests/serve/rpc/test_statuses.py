"""Each of our errors has a status, and comes back as what it was."""

import grpc
import pytest

from scnas_deploy import errors
from scnas_deploy.errors import (
    CapacityError,
    ConfigError,
    MissingExtraError,
    RefusedError,
    ScnasError,
    UnreachableError,
)
from scnas_deploy.serve.rpc.statuses import CODES, DETAIL_KEY, code_of, error_of, refuse

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ScnasError)]


class Call:
    """What a context and a failed call have in common; no connection is needed for the table."""

    def __init__(self, code=None, details="", trailing=()):
        self.status, self.text, self.trailing = code, details, trailing

    def set_trailing_metadata(self, trailing):
        self.trailing = trailing

    def abort(self, code, details):
        self.status, self.text = code, details
        raise RuntimeError("aborted")

    def code(self):
        return self.status

    def details(self):
        return self.text

    def trailing_metadata(self):
        return self.trailing


def make(kind):
    if kind is MissingExtraError:
        return MissingExtraError("tensorrt", "gpu", "DOE^JANE")
    return kind("DOE^JANE", expected="a mask", found="a photograph", remedy="Save the mask")


def refused(error):
    call = Call()
    with pytest.raises(RuntimeError):
        refuse(call, error)
    return call


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_has_an_entry_of_its_own(kind):
    assert kind in CODES
    assert CODES[kind] is not grpc.StatusCode.OK


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_comes_back_as_what_it_was_without_its_subject(kind):
    error = make(kind)
    call = refused(error)
    back = error_of(call, "server:1")
    assert type(back) is kind
    assert (back.expected, back.found, back.remedy) == (error.expected, error.found, error.remedy)
    assert "DOE" not in repr(call.trailing) + call.text + str(back)
    assert back.subject == "server:1"


def test_the_tree_has_no_entry_too_many():
    assert set(CODES) == set(KINDS)


def test_a_class_of_somebody_else_has_the_status_of_the_nearest_of_ours():
    class SpecialError(ConfigError):
        pass

    assert code_of(make(SpecialError)) is CODES[ConfigError]
    assert type(error_of(refused(make(SpecialError)), "s")) is ConfigError


def test_a_missing_extra_says_which():
    back = error_of(refused(make(MissingExtraError)), "s")
    assert (back.module, back.extra) == ("tensorrt", "gpu")


def test_long_errors_fit_into_metadata():
    error = ConfigError("s", expected="x" * 10**6, found="y" * 10**6, remedy="z" * 10**6)
    call = refused(error)
    assert len(call.trailing[0][1]) + len(call.text) < 8000


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, UnreachableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, UnreachableError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, CapacityError),
        (grpc.StatusCode.INTERNAL, RefusedError),
    ],
)
def test_a_status_without_a_word_of_ours_is_an_error_of_ours_too(code, kind):
    assert type(error_of(Call(code, "words"), "s")) is kind


@pytest.mark.parametrize("content", [b"\xff\xff", b"\x0a\x06Strange", b"\x0a\x09Exception", b""])
def test_a_detail_that_makes_no_sense_is_left_out(content):
    call = Call(grpc.StatusCode.UNAVAILABLE, "", ((DETAIL_KEY, content),))
    assert type(error_of(call, "s")) is UnreachableError
