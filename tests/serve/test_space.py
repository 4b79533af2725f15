"""Space that was promised to one is not promised to another."""

import pytest

from scnas_deploy.errors import FormatError, SpoolFullError
from scnas_deploy.serve.space import Space


class SetSpool:
    """A spool whose disk is as full as a test says."""

    def __init__(self, free):
        self.free = free

    def free_bytes(self):
        return self.free


@pytest.fixture
def spool():
    return SetSpool(100)


@pytest.fixture
def space(spool):
    return Space(spool, 10)


def test_what_was_announced_is_there_for_nobody_else(space):
    with space.reserve(60):
        with pytest.raises(SpoolFullError), space.reserve(31):
            pass
        with space.reserve(30):
            space.require()
    with space.reserve(90):
        pass


def test_what_is_written_counts_once(space, spool):
    with space.reserve(60) as reservation:
        reservation.written(40)
        spool.free -= 40
        with space.reserve(30):
            pass
        with pytest.raises(SpoolFullError), space.reserve(31):
            pass
    with space.reserve(50):
        pass


def test_an_error_gives_back_what_was_not_written(space, spool):
    def breaks_off():
        with space.reserve(60) as reservation:
            reservation.written(10)
            raise FormatError("a file", expected="its end", found="none", remedy="Send it")

    with pytest.raises(FormatError):
        breaks_off()
    with space.reserve(90):
        pass


def test_more_written_than_announced_takes_from_nobody(space, spool):
    with space.reserve(10) as reservation:
        reservation.written(50)
        spool.free -= 50
        with pytest.raises(SpoolFullError), space.reserve(41):
            pass


def test_a_disk_that_is_nearly_full_takes_nothing(space, spool):
    spool.free = 10
    space.require()
    spool.free = 9
    with pytest.raises(SpoolFullError):
        space.require()
