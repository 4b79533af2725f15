"""Memory that studies share."""

import threading
from contextlib import suppress

import pytest

from scnas_deploy.serve.admission import Admission


def ignore():
    """Nothing ends the waiting."""


class EndedError(Exception):
    """The waiting was ended."""


def end():
    raise EndedError


def test_what_fits_is_let_in_together():
    admission = Admission(100)
    with admission.study(40, ignore) as first, admission.study(40, ignore) as second:
        first.compute(50, ignore)
        second.compute(50, ignore)
        assert admission.held_bytes() == 100
    assert admission.held_bytes() == 0


def test_what_does_not_fit_waits_until_it_does():
    admission, entered = Admission(100), threading.Event()

    def other():
        with admission.study(60, ignore):
            entered.set()

    with admission.study(60, ignore):
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.3)
    thread.join(10)
    assert entered.is_set()


def test_one_that_is_alone_never_waits():
    admission = Admission(100)
    with admission.study(1000, end) as only:
        only.compute(2000, end)


def test_those_that_were_read_do_not_keep_each_other_waiting():
    admission = Admission(100)
    with admission.study(50, end) as first, admission.study(50, end) as second:
        first.compute(90, end)
        with pytest.raises(EndedError):
            second.compute(90, end)


def test_the_waiting_can_be_ended():
    admission = Admission(100)
    with admission.study(100, ignore), pytest.raises(EndedError), admission.study(1, end):
        pytest.fail("it was let in")


def test_without_a_limit_all_are_let_in():
    admission = Admission(None)
    with admission.study(10**15, end) as first, admission.study(10**15, end) as second:
        first.compute(10**15, end)
        second.compute(10**15, end)


def test_an_error_gives_the_memory_back():
    admission = Admission(100)
    with suppress(EndedError), admission.study(100, ignore) as study:
        study.compute(100, ignore)
        raise EndedError
    assert admission.held_bytes() == 0
