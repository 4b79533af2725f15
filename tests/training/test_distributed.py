"""Two processes take the steps that one would take, stop together, and only one of them writes."""

import multiprocessing
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from scnas_deploy.errors import ConfigError, PeerError
from scnas_deploy.search.bilevel import BilevelTask
from scnas_deploy.search.config import SearchConfig
from scnas_deploy.search.ronasmis import RonasmisTask
from scnas_deploy.search.ronasmis_config import RonasmisConfig
from scnas_deploy.training.checkpoint import load_checkpoint, save_checkpoint
from scnas_deploy.training.distributed import ALONE, World, open_world
from scnas_deploy.training.metrics_log import read_metrics
from scnas_deploy.training.prepared import PreparedCases
from scnas_deploy.training.run import build_network
from scnas_deploy.training.trainer import TrainingConfig, TrainingTask
from tests.killing import assert_same_run, end_when, num_epochs_logged, output_of, run, start, wait_until
from tests.ports import free_port
from tests.training.test_resume import command, resume

NUM_STEPS = 3


@pytest.fixture(scope="module", autouse=True)
def one_machine_without_gpus():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        yield


def in_processes(world_size: int, action, *arguments) -> list[int]:
    """Run ``action(world, *arguments)`` in that many processes as torchrun would; returns their exit statuses."""
    context = multiprocessing.get_context("spawn")
    port = free_port()
    places = [(rank, world_size, port) for rank in range(world_size)]
    processes = [context.Process(target=in_world, args=(place, action, *arguments)) for place in places]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    return [process.exitcode for process in processes]


def in_world(place: tuple[int, int, int], action, *arguments) -> None:
    rank, world_size, port = map(str, place)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    sizes = {"WORLD_SIZE": world_size, "LOCAL_WORLD_SIZE": world_size}
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, **sizes, **address}
    with open_world() as world:
        action(world, *arguments)


def agree(world: World) -> None:
    """Each process gives other numbers; both must find the same mean and maximum."""
    ours = torch.full((2, 3), float(world.rank)), None, torch.tensor(10.0 * world.rank)
    world.average(ours)
    assert torch.equal(ours[0], torch.full((2, 3), 0.5))
    assert ours[2].item() == 5.0
    assert world.largest(7 * world.rank) == 7
    assert world.is_main == (world.rank == 0)
    world.barrier()


def lose_the_other(world: World) -> None:
    """The second process dies without a word; the first is told so."""
    if world.rank == 1:
        os._exit(0)
    with pytest.raises(PeerError, match="--resume"):
        world.barrier()


def take_steps(world: World, kind: str, dataset, plan, genotype, folder: Path) -> None:
    """Train or search a few steps in double precision; each process writes what it came to.

    In single precision each step of a fresh network multiplies the rounding errors of the one before: there, one
    process with one thread and with two come apart as far as one process and two.
    """
    cases = PreparedCases(dataset, plan, folder).load([case.id for case in dataset.cases])
    with in_double_precision():
        task = make_task(world, kind, plan, genotype, cases)
    task.begin(0, NUM_STEPS)
    losses = [task.step(number) for number in range(NUM_STEPS)]
    record = task.finish_epoch(0, sum(losses) / NUM_STEPS)
    outcome = {"losses": losses, "record": record, "task": task.state()}
    save_checkpoint(folder / f"{kind}-{world.rank}-of-{world.world_size}", outcome)


def make_task(world: World, kind: str, plan, genotype, cases) -> BilevelTask | RonasmisTask | TrainingTask:
    settings = {"batch_size": 2, "num_epochs": 1, "steps_per_epoch": NUM_STEPS}
    if kind == "ronasmis":
        config = RonasmisConfig(stem_channels=4, steps_per_child=2, **settings)
        return RonasmisTask(config, plan, cases[:7], cases[7:], world)
    if kind == "search":
        return BilevelTask(SearchConfig(stem_channels=4, **settings), plan, cases[:8], cases[8:], world)
    network = build_network(genotype.architecture, plan, seed=0)
    return TrainingTask(network, TrainingConfig(**settings), plan, cases[:8], cases[8:], world)


@contextmanager
def in_double_precision():
    """Parameters made within the block are doubles; from here on, so are the inputs of all modules."""
    register_module_forward_pre_hook(lambda _module, inputs: tuple(map(to_double, inputs)))
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def to_double(value):
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def tensors_of(state, path="") -> dict[str, torch.Tensor]:
    """Every number and tensor of a state by its path."""
    if isinstance(state, torch.Tensor | float):
        return {path: torch.as_tensor(state)}
    pairs = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    return {name: value for key, child in pairs for name, value in tensors_of(child, f"{path}/{key}").items()}


@pytest.mark.soak
def test_processes_agree_on_means_and_flags():
    assert in_processes(2, agree) == [0, 0]


@pytest.mark.soak
def test_a_lost_process_is_an_error_that_says_how_to_go_on():
    assert in_processes(2, lose_the_other) == [0, 0]


def test_a_process_by_itself_needs_no_others(monkeypatch):
    with open_world() as world:
        assert world is ALONE
        assert not torch.distributed.is_initialized()
    tensor = torch.tensor(3.0)
    world.average([tensor])
    assert (tensor.item(), world.largest(2), world.is_main) == (3.0, 2, True)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["train", "search", "ronasmis"])
def test_two_processes_take_the_steps_of_one(kind, phantom_dataset, phantom_plan, varied_genotype, tmp_path):
    arguments = (kind, phantom_dataset, phantom_plan, varied_genotype, tmp_path)
    for world_size in (1, 2):
        assert set(in_processes(world_size, take_steps, *arguments)) == {0}
    alone = tensors_of(load_checkpoint(tmp_path / f"{kind}-0-of-1"))
    main, other = (tensors_of(load_checkpoint(tmp_path / f"{kind}-{rank}-of-2")) for rank in range(2))
    assert alone.keys() == main.keys() == other.keys()
    for name, expected in alone.items():
        torch.testing.assert_close(main[name], expected, atol=1e-5, rtol=1e-5, msg=name)
        assert torch.equal(main[name], other[name]), name


def test_a_batch_that_does_not_divide_is_refused(phantom_plan):
    config = SearchConfig(batch_size=4)
    with pytest.raises(ConfigError, match=r"multiple of the number of processes, 3, found 4.*divides 4"):
        BilevelTask(config, phantom_plan, [], [], World(world_size=3))
    with pytest.raises(ConfigError, match="found 5"):
        TrainingTask(torch.nn.Identity(), TrainingConfig(batch_size=5), phantom_plan, [], [], World(world_size=2))


def test_the_command_refuses_such_a_batch_in_one_line_and_starts_no_run(project):
    result = run(*command("train", "uneven"), "--gpus", "3", project=project)
    assert result.returncode == 2
    assert result.stdout == ""
    notice, refusal = result.stderr.splitlines()
    assert notice.startswith("No CUDA here: --gpus 3 runs 3 processes")
    assert refusal.startswith("scnas: batch_size: expected a multiple of the number of processes, 3, found 4.")
    assert not (project / "runs" / "train-uneven").exists()


@pytest.fixture(scope="module")
def whole(project) -> Path:
    """The working folder with an uninterrupted run of two processes; what it printed lies beside the runs."""
    result = run(*command("train", "whole"), "--gpus", "2", project=project)
    assert result.returncode == 0, result.stderr
    (project / "printed.txt").write_text(result.stdout + result.stderr)
    return project


@pytest.mark.soak
def test_only_one_process_writes_and_speaks(whole):
    folder = whole / "runs" / "train-whole"
    assert [record["epoch"] for record in read_metrics(folder / "metrics.jsonl")] == [0, 1, 2, 3]
    assert len(list((folder / "events").iterdir())) == 1
    printed = (whole / "printed.txt").read_text().splitlines()
    for line in ("No CUDA here: --gpus 2 runs 2 processes on the CPU", "Preset 'cpu'", "Trained", "Next:"):
        assert sum(printed_line.startswith(line) for printed_line in printed) == 1, line


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_both_after_the_same_step(whole, number):
    name = f"train-{number.name}"
    process = start(*command("train", number.name), "--gpus", "2", project=whole)
    _, err = end_when(process, lambda: num_epochs_logged(whole / "runs" / name) >= 1, number)
    assert process.returncode == 128 + number
    assert err.count(f"Stopped and saved. Go on with: scnas train --resume --name {name} --gpus 2\n") == 1
    assert run("train", "--resume", "--name", name, "--gpus", "2", project=whole).returncode == 0
    assert_same_run(whole / "runs" / name, whole / "runs" / "train-whole")


@pytest.mark.soak
def test_one_process_goes_on_where_two_stopped(whole, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    process = start(*command("train", "fewer"), "--gpus", "2", project=whole)
    folder = whole / "runs" / "train-fewer"
    end_when(process, lambda: num_epochs_logged(folder) >= 1, signal.SIGINT)
    kept = read_metrics(folder / "metrics.jsonl")
    assert 1 <= len(kept) < 4
    result = run("train", "--resume", "--name", "train-fewer", project=whole)
    assert result.returncode == 0, result.stderr
    records, expected = (
        read_metrics(whole / "runs" / name / "metrics.jsonl") for name in ("train-fewer", "train-whole")
    )
    assert records[: len(kept)] == kept
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    assert [record["loss"] for record in records] == pytest.approx([record["loss"] for record in expected], abs=0.05)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["search", "ronasmis", "train"])
def test_two_processes_killed_resume_to_the_same_bits(project, kind):
    """SIGKILL of torchrun's process ends the two that it has started: none writes on into the resumed run."""
    assert run(*command(kind, "unkilled"), "--gpus", "2", project=project).returncode == 0
    process = start(*command(kind, "killed"), "--gpus", "2", project=project)
    folder = project / "runs" / f"{kind}-killed"
    end_when(process, lambda: num_epochs_logged(folder) >= 2, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    resume(project, kind, "killed", "--gpus", "2")
    assert_same_run(folder, project / "runs" / f"{kind}-unkilled")


@pytest.mark.soak
def test_one_of_two_processes_killed_ends_the_command_and_resumes_to_the_same_bits(whole):
    process = start(*command("train", "halved"), "--gpus", "2", project=whole)
    folder = whole / "runs" / "train-halved"
    wait_until(process, lambda: num_epochs_logged(folder) >= 1)
    os.kill(children_of(process.pid)[-1], signal.SIGKILL)
    _, err = output_of(process)
    assert process.returncode not in (0, -signal.SIGKILL)
    assert "one ended by SIGKILL" in err
    assert "--resume" in err
    resume(whole, "train", "halved", "--gpus", "2")
    assert_same_run(folder, whole / "runs" / "train-whole")


def children_of(pid: int) -> list[int]:
    """Process ids of the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
