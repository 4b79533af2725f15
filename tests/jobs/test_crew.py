"""A crew: who is lost is replaced, but not for ever, and no job is lost with a worker."""

import signal
import subprocess
import threading
import time
from typing import ClassVar

import pytest

from scnas_deploy.jobs.crew import Crew, CrewSettings, work_through
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from tests.jobs.conftest import new_jobs
from tests.jobs.worker_process import QUEUE, SleepingRunner, StartedProcess


class ProgramRunner(StartedProcess):
    """A process that does what a line of Python says."""

    all: ClassVar[list["ProgramRunner"]] = []

    def __init__(self, line: str) -> None:
        self.all.append(self)
        super().__init__("-S", "-c", line, stdout=subprocess.PIPE)


@pytest.fixture(autouse=True)
def _close_pipes():
    yield
    for runner in ProgramRunner.all:
        runner.process.stdout.close()
    ProgramRunner.all.clear()


def crew_of(lines, clock, settings=None):
    """A crew whose workers do these lines one after another, the runners started, and the losses told."""
    started, losses = [], []

    def start(_name):
        started.append(ProgramRunner(lines[min(len(started), len(lines) - 1)]))
        return started[-1]

    crew = Crew(
        start, settings or CrewSettings(), lambda _name, status, wait_s: losses.append((status, wait_s)), clock=clock
    )
    return crew, started, losses


def test_a_lost_worker_is_replaced_after_growing_waits_and_at_last_no_more(clock):
    crew, started, losses = crew_of(["raise SystemExit(7)"], clock)
    while crew.tend(0):
        started[-1].process.wait()
        if losses and started[-1].status() is not None:
            clock.now += 61.0
    waits = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    assert losses == [(7, wait_s) for wait_s in [*waits, None]]
    assert len(started) == 11


def test_nobody_is_replaced_before_the_wait_is_over(clock):
    crew, started, losses = crew_of(["raise SystemExit(7)", "import time; time.sleep(60)"], clock)
    crew.tend(0)
    started[0].process.wait()
    assert crew.tend(0)
    assert (len(started), losses) == (1, [(7, 1.0)])
    clock.now += 1.0
    assert crew.tend(0)
    assert len(started) == 2
    crew.kill()


def test_a_worker_that_has_lived_long_was_no_failed_start(clock):
    crew, started, losses = crew_of(["raise SystemExit(7)"], clock, CrewSettings(max_replacements=1))
    for _ in range(4):
        crew.tend(0)
        started[-1].process.wait()
        clock.now += 600.0
        assert crew.tend(0)
        clock.now += 1.0
    assert [wait_s for _, wait_s in losses] == [1.0] * 4


def test_losses_among_jobs_that_are_finished_are_not_in_a_row(clock):
    crew, started, losses = crew_of(["raise SystemExit(7)"], clock, CrewSettings(max_replacements=1))
    for num_finished in range(4):
        assert crew.tend(num_finished)
        started[-1].process.wait()
        assert crew.tend(num_finished + 1)
        clock.now += 1.0
    assert [wait_s for _, wait_s in losses] == [1.0] * 4


@pytest.mark.soak
def test_a_few_jobs_that_end_their_workers_do_not_stop_the_others(ledger_url):
    def start(name):
        return SleepingRunner(ledger_url, name, deadly=[0, 1, 2])

    settings = CrewSettings(max_replacements=3, first_wait_s=0.01, longest_wait_s=0.01)
    with Ledger(ledger_url) as ledger:
        ledger.enqueue(QUEUE, new_jobs(6, max_attempts=2))
        crew = Crew(start, settings, lambda name, _status, _wait_s: ledger.end_leases(name))
        work_through(ledger, QUEUE, crew, threading.Event(), lambda _finished, _total: None)
        states = [ledger.named(QUEUE, [f"job {n}"])[f"job {n}"].state for n in range(6)]
    assert states == [JobState.DEAD] * 3 + [JobState.DONE] * 3


@pytest.mark.parametrize("status", [2, 3, 4])
def test_nobody_follows_a_worker_whose_successors_would_fail_alike(clock, status):
    crew, started, losses = crew_of([f"raise SystemExit({status})"], clock)
    crew.tend(0)
    started[0].process.wait()
    assert not crew.tend(0)
    assert losses == [(status, None)]


def test_a_worker_that_has_ended_in_order_is_not_replaced(clock):
    crew, started, losses = crew_of(["pass"], clock)
    crew.tend(0)
    started[0].process.wait()
    assert not crew.tend(0)
    assert (len(started), losses) == (1, [])


def test_who_does_not_stop_when_asked_to_is_killed():
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    crew, started, _ = crew_of([deaf], time.monotonic, CrewSettings(stop_patience_s=0.1))
    crew.tend(0)
    assert started[0].process.stdout.readline() == b"deaf\n"
    crew.stop()
    assert started[0].process.returncode == -signal.SIGKILL


def kill_while_working(url, num_jobs, kills, *, num_workers=1, for_good=False):
    """Have jobs done by workers that are killed -9 again and again; each job must have been done in the end."""
    runners, killed, finished_then = [], [], 0

    def start(name):
        runners.append(SleepingRunner(url, name, job_s=0.1))
        return runners[-1]

    def on_loss(name, _status, _wait_s):
        if not for_good:  # else its lease must run out
            ledger.end_leases(name)

    def kill_one_who_works(finished, _total):
        nonlocal finished_then
        if len(killed) < kills and finished >= finished_then + 3:
            runners[-1].kill()
            killed.append(runners[-1].name)
            finished_then = finished

    replaced = 0 if for_good else kills
    settings = CrewSettings(num_workers=num_workers, max_replacements=replaced, first_wait_s=0.1, longest_wait_s=0.1)
    with Ledger(url) as ledger:
        ledger.enqueue(QUEUE, new_jobs(num_jobs, max_attempts=kills + 2))
        crew = Crew(start, settings, on_loss)
        work_through(ledger, QUEUE, crew, threading.Event(), kill_one_who_works)
        jobs = ledger.named(QUEUE, [job.key for job in new_jobs(num_jobs)])
    assert len(killed) == kills
    assert len(jobs) == num_jobs
    assert {job.state for job in jobs.values()} == {JobState.DONE}
    assert all(job.result["n"] == job.payload["n"] for job in jobs.values())


@pytest.mark.soak
def test_a_killed_workers_job_is_done_by_its_successor(ledger_url):
    kill_while_working(ledger_url, num_jobs=12, kills=1)


@pytest.mark.soak
def test_fifty_jobs_and_five_kills_lose_nothing(ledger_url):
    kill_while_working(ledger_url, num_jobs=50, kills=5)


@pytest.mark.soak
def test_of_two_workers_one_is_killed_for_good_and_the_other_does_the_rest(ledger_url):
    kill_while_working(ledger_url, num_jobs=40, kills=1, num_workers=2, for_good=True)


def wait_for(answer):
    """Ask until there is one."""
    deadline = time.monotonic() + 60
    while not (found := answer()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.mark.soak
def test_a_stopped_worker_that_wakes_after_its_lease_changes_nothing(ledger_url):
    with Ledger(ledger_url) as ledger:
        ledger.enqueue(QUEUE, new_jobs(1))
        asleep = SleepingRunner(ledger_url, "asleep", lease_s=0.6, job_s=0.3)
        wait_for(lambda: ledger.counts(QUEUE)[JobState.RUNNING])
        asleep.process.send_signal(signal.SIGSTOP)
        lease = wait_for(lambda: ledger.claim("awake", queue=QUEUE, lease_s=60.0))
        asleep.process.send_signal(signal.SIGCONT)
        time.sleep(0.6)  # by now it has tried to record and to finish
        assert asleep.status() is None
        (job,) = ledger.named(QUEUE, ["job 0"]).values()
        assert (job.state, job.attempt, job.result) == (JobState.RUNNING, 2, None)
        ledger.done(lease, {"by": "awake"})
        assert asleep.process.wait(timeout=30) == 0
        (job,) = ledger.named(QUEUE, ["job 0"]).values()
        assert job.result == {"by": "awake"}
