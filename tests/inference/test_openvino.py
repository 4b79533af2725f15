"""OpenVINO in a process that lives on: what engines leave behind when they are given up."""

import subprocess
import sys

import pytest

OPEN_AND_GIVE_UP = """
import os, signal, threading
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.package import open_package
from tests.inference.conftest import SHIPPED

model = open_package(SHIPPED).model
engines = [OpenVinoEngine(model, num_threads=1) for _ in range(2)]
{give_up}
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize(
    "give_up",
    [
        "del engines[0]; del engines[0]",
        "thread = threading.Thread(target=engines.clear); thread.start(); thread.join()",
    ],
    ids=["the first one first", "in another thread"],
)
def test_a_signal_is_handled_after_engines_were_given_up(give_up):
    """OpenVINO's cores may leave a thread with a stack for signals that is no more (`sigaltstack`)."""
    command = [sys.executable, "-c", OPEN_AND_GIVE_UP.format(give_up=give_up)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "handled\n"
