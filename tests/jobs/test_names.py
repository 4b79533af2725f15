"""Workers that are known to be gone."""

import os
import socket
import subprocess
import sys

import pytest

from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.names import end_leases_of_the_gone, new_name
from tests.jobs.conftest import new_jobs


@pytest.fixture
def name_of_the_gone():
    code = "from scnas_deploy.jobs.names import new_name; print(new_name())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_only_leases_of_this_machines_ended_processes_are_ended(tmp_path, name_of_the_gone):
    elsewhere = "another-machine/" + name_of_the_gone.split("/", 1)[1]
    living = f"{socket.gethostname()}/{os.getppid()}/0"
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.enqueue("queue", new_jobs(4))
        for name in (living, name_of_the_gone, elsewhere):
            ledger.claim(name, queue="queue", lease_s=60.0)
        end_leases_of_the_gone(ledger, "queue")
        found = [ledger.claim("next", queue="queue", lease_s=60.0) for _ in range(3)]
    assert [lease and lease.job.key for lease in found] == ["job 3", "job 1", None]


def test_who_bears_our_own_number_is_of_an_earlier_life(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.enqueue("queue", new_jobs(1))
        ledger.claim(new_name(), queue="queue", lease_s=60.0)
        end_leases_of_the_gone(ledger, "queue")
        assert ledger.claim("next", queue="queue", lease_s=60.0) is not None


def test_no_two_workers_share_a_name():
    assert new_name() != new_name()
