"""What the system says of memory."""

import numpy as np
import pytest

from scnas_deploy.inference import memory
from scnas_deploy.inference.memory import PeakMemory, available_bytes, resident_bytes

MIB = 1024**2


def test_the_peak_is_what_was_held_even_after_it_is_given_back():
    peak = PeakMemory()
    held = np.ones(64 * MIB, dtype=np.uint8)
    del held
    first = peak.above_start()
    assert 60 * MIB < first < 90 * MIB
    assert PeakMemory().above_start() < 8 * MIB


@pytest.mark.parametrize("left", [200 * MIB, None])
def test_available_memory_is_the_machines_and_no_more_than_a_containers_limit_leaves(left, monkeypatch):
    monkeypatch.setattr(memory, "group_bytes_left", lambda: left)
    if left is None:
        assert available_bytes() > 200 * MIB
    else:
        assert available_bytes() == left


@pytest.mark.parametrize("missing", ["_PROCESS", "_MACHINE"])
def test_where_the_system_does_not_tell_nothing_is_made_up(missing, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, missing, tmp_path / "nothing")
    monkeypatch.setattr(memory, "group_bytes_left", lambda: None)
    if missing == "_PROCESS":
        assert resident_bytes() is None
        assert PeakMemory().above_start() is None
    else:
        assert available_bytes() is None
