"""What this machine is."""

import os
import subprocess
import sys

from scnas_deploy.machine import num_cores, processor_name


def test_the_processor_has_a_name():
    assert processor_name().strip()


def test_cores_that_this_process_may_not_use_do_not_count():
    assert num_cores() == len(os.sched_getaffinity(0))
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from scnas_deploy.machine import num_cores; print(num_cores())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "1"
