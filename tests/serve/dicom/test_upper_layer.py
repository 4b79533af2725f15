import pytest

from scnas_deploy.serve.dicom.upper_layer import BoundedBuffer


@pytest.mark.parametrize("pieces", [[b"abcd"], [b"ab", b"cd"], [b"", b"abc", b"d"]])
def test_a_buffer_keeps_what_it_may(pieces):
    buffer = BoundedBuffer(4)
    assert [buffer.write(piece) for piece in pieces] == [len(piece) for piece in pieces]
    assert buffer.getvalue() == b"abcd"
    assert not buffer.overflowed


def test_a_buffer_that_overflows_lets_go_of_all_and_takes_nothing_more():
    buffer = BoundedBuffer(4)
    for piece in (b"abc", b"de", b"f"):
        assert buffer.write(piece) == len(piece)
    assert buffer.overflowed
    assert buffer.getvalue() == b""
