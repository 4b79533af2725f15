import gc

import pytest

from scnas_deploy.serve.dicom.buffers import BoundedBuffer, Budget


@pytest.mark.parametrize("pieces", [[b"abcd"], [b"ab", b"cd"], [b"", b"abc", b"d"]])
def test_a_buffer_keeps_what_it_may(pieces):
    buffer = BoundedBuffer(4)
    assert [buffer.write(piece) for piece in pieces] == [len(piece) for piece in pieces]
    assert buffer.getvalue() == b"abcd"
    assert not buffer.overflow


def test_a_buffer_that_overflows_lets_go_of_all_and_takes_nothing_more():
    budget = Budget(4)
    buffer = BoundedBuffer(4, budget)
    for piece in (b"abc", b"de", b"f"):
        assert buffer.write(piece) == len(piece)
    assert buffer.overflow == "it is larger than max_object_bytes"
    assert buffer.getvalue() == b""
    assert budget.take(4)


def test_buffers_of_one_budget_keep_no_more_than_it_together():
    budget = Budget(6)
    first, second, third = (BoundedBuffer(4, budget) for _ in range(3))
    for buffer in (first, second, third):
        buffer.write(b"abc")
    assert [buffer.getvalue() for buffer in (first, second, third)] == [b"abc", b"abc", b""]
    assert third.overflow == "too much is on its way in together with it"
    first.empty()
    assert first.getvalue() == b""
    assert not budget.take(1)  # somebody has a copy
    first.close()
    assert budget.take(3)
    assert not budget.take(1)


def test_a_buffer_that_nobody_has_any_more_gives_back_its_part():
    budget = Budget(4)
    buffer = BoundedBuffer(4, budget)
    buffer.write(b"abcd")
    buffer.itself = buffer  # as in an association that has ended
    assert not budget.take(1)
    del buffer
    gc.collect()
    assert budget.take(4)
