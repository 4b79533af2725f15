"""What a run has cost adds up over its sittings."""

import dataclasses
import signal

import pytest

from scnas_deploy.training.distributed import World
from scnas_deploy.training.ledger import LedgerWriter, Sitting, load_ledger
from scnas_deploy.training.meter import CostMeter
from scnas_deploy.training.runs import RunFolder, RunRecord
from tests.killing import end_when, num_epochs_logged, run, start


def sitting(seconds=10.0, cpu_joules=100.0, peak_bytes=1000) -> Sitting:
    return Sitting(
        started="2025-01-01T00:00:00+00:00",
        device="CPU",
        num_processes=1,
        seconds=seconds,
        peak_bytes=peak_bytes,
        cpu_joules=cpu_joules,
        gpu_joules=None,
    )


def test_a_sitting_saved_again_replaces_itself_and_the_next_one_stands_beside_it(tmp_path):
    seconds = iter([5.0, 10.0])
    ledger = LedgerWriter(tmp_path, "search", lambda: sitting(next(seconds)))
    ledger.save()
    ledger.save()
    LedgerWriter(tmp_path, "search", lambda: sitting(3.0, cpu_joules=20.0, peak_bytes=3000)).save()
    costs = load_ledger(tmp_path)
    assert [one.seconds for one in costs.sittings] == [10.0, 3.0]
    assert (costs.seconds, costs.cpu_joules, costs.peak_bytes) == (13.0, 120.0, 3000)


def test_energy_that_one_sitting_does_not_know_is_not_known(tmp_path):
    LedgerWriter(tmp_path, "train", sitting).save()
    costs = LedgerWriter(tmp_path, "train", lambda: sitting(cpu_joules=None)).save()
    assert costs.cpu_joules is None
    assert costs.gpu_joules is None


def test_a_folder_without_a_record_has_no_costs(tmp_path):
    assert load_ledger(tmp_path) is None


@pytest.fixture
def begun(tmp_path, phantom_plan) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create(RunRecord(kind="search", fold=0, preset="cpu", config={}), phantom_plan)
    return folder


def test_a_meter_measures_time_and_memory(begun):
    CostMeter(begun, World()).save()
    (measured,) = load_ledger(begun.path).sittings
    assert load_ledger(begun.path).kind == "search"
    assert (measured.num_processes, measured.gpu_joules) == (1, None)
    assert measured.seconds >= 0
    assert measured.peak_bytes > 10_000_000


def test_of_several_machines_the_energy_is_not_known_and_only_the_main_process_writes(begun):
    several = World(world_size=4, machine_size=2)
    assert CostMeter(begun, dataclasses.replace(several, rank=1, local_rank=1)).save() is None
    assert load_ledger(begun.path) is None
    assert CostMeter(begun, several).save().cpu_joules is None


@pytest.mark.soak
def test_an_interrupted_and_resumed_run_has_two_sittings(project):
    folder = project / "runs" / "search"
    arguments = ("search", "--preset", "cpu", "--epochs", "4", "--steps-per-epoch", "2")
    end_when(start(*arguments, project=project), lambda: num_epochs_logged(folder) >= 1, signal.SIGTERM)
    (first,) = load_ledger(folder).sittings
    resumed = run("search", "--resume", project=project)
    assert resumed.returncode == 0, resumed.stderr
    costs = load_ledger(folder)
    assert costs.sittings[0] == first
    assert len(costs.sittings) == 2
    assert first.seconds > 0
    assert " in 2 sittings" in resumed.stderr
