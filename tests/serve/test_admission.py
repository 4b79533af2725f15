"""Memory that studies share."""

import threading
import time
from contextlib import suppress

import pytest

from scnas_deploy.serve.admission import Admission


def ignore():
    """Nothing ends the waiting."""


class EndedError(Exception):
    """The waiting was ended."""


def end():
    raise EndedError


def test_whoever_only_looks_takes_nothing_from_those_that_compute():
    admission = Admission(100)
    with admission.study(20, ignore, passing=True) as look, admission.study(10, ignore) as study:
        look.grow(80, end)
        assert study.has_read(10) == 100  # as if nobody looked
        with pytest.raises(EndedError):
            study.compute(90, end)  # waits for whoever looks
        study.compute(20, end)
        assert admission.held_bytes() == 100
    assert admission.held_bytes() == 0


def test_whoever_looks_grows_only_into_what_is_free():
    admission = Admission(100)
    with admission.study(30, ignore) as study, admission.study(20, ignore, passing=True) as look:
        study.compute(70, end)
        with pytest.raises(EndedError):
            look.grow(31, end)
        look.grow(30, end)
        assert admission.held_bytes() == 100


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


def test_voxels_of_those_that_wait_count():
    """One computes in what the others leave; together they never take more than the limit."""
    admission = Admission(100)
    with admission.study(30, end) as first, admission.study(40, end) as second:
        assert first.has_read(30) == 60
        first.compute(60, end)
        assert admission.held_bytes() == 100
        with pytest.raises(EndedError):
            second.compute(41, end)


def test_those_that_were_read_do_not_keep_each_other_waiting():
    admission = Admission(100)
    with admission.study(50, end) as first, admission.study(50, end) as second:
        first.compute(50, end)
        second.compute(50, end)


def test_a_large_one_is_not_passed_by_small_ones():
    admission, entered, stop = Admission(100), [], threading.Event()

    def enter(name, size):
        with admission.study(size, ignore):
            entered.append(name)
            stop.wait(0.05)

    with admission.study(50, ignore):
        large = threading.Thread(target=enter, args=("large", 90))
        large.start()
        wait_for_line(admission, 1)
        small = threading.Thread(target=enter, args=("small", 10))
        small.start()
        wait_for_line(admission, 2)
    large.join(10)
    small.join(10)
    assert entered == ["large", "small"]


def test_what_is_urgent_goes_first():
    admission, entered = Admission(100), []

    def enter(name, priority):
        with admission.study(100, ignore, priority=priority):
            entered.append(name)

    with admission.study(100, ignore):
        threads = [threading.Thread(target=enter, args=each) for each in (("archive", 0), ("clinical", 10))]
        for number, thread in enumerate(threads, start=1):
            thread.start()
            wait_for_line(admission, number)
    for thread in threads:
        thread.join(10)
    assert entered == ["clinical", "archive"]


def test_one_that_is_to_be_alone_is():
    admission = Admission(None)
    with admission.study(1, end, alone=True), pytest.raises(EndedError), admission.study(1, end):
        pytest.fail("it was let in")
    with admission.study(1, end), pytest.raises(EndedError), admission.study(1, end, alone=True):
        pytest.fail("it was let in")


def wait_for_line(admission, number):
    while len(admission._line) < number:
        time.sleep(0.01)


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
