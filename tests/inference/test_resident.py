"""A process' memory at its highest."""

import subprocess
import sys

import numpy as np

from scnas_deploy.inference import resident
from scnas_deploy.inference.resident import ResidentPeak

MIB = 2**20


def test_what_was_taken_counts_after_it_is_given_back_and_what_was_there_before_does_not():
    before = np.ones(96 * MIB, dtype=np.uint8)
    del before
    peak = ResidentPeak()
    small = peak.bytes()
    taken = np.ones(64 * MIB, dtype=np.uint8)
    del taken
    assert small < 32 * MIB
    assert 63 * MIB <= peak.bytes() < 90 * MIB  # the kernel counts in lots of pages


def test_a_process_does_not_inherit_its_parents_memory():
    here = np.ones(256 * MIB, dtype=np.uint8)
    code = "from scnas_deploy.inference.resident import ResidentPeak; print(ResidentPeak().bytes())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 32 * MIB < len(here)


def test_where_the_system_does_not_tell_it_is_not_known(monkeypatch, tmp_path):
    monkeypatch.setattr(resident, "_PROC", tmp_path)
    assert ResidentPeak().bytes() is None
