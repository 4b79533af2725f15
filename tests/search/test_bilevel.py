"""Each half of a step moves its own parameters on its own cases."""

import dataclasses

import pytest
import torch

from scnas_deploy.networks.genotype import Operation
from scnas_deploy.search.bilevel import BilevelTask
from scnas_deploy.search.config import BETAS, PRESETS, SearchConfig
from scnas_deploy.training.prepared import PreparedCases


@pytest.fixture(scope="module")
def cases(phantom_dataset, phantom_plan, tmp_path_factory):
    ids = [case.id for case in phantom_dataset.cases]
    return PreparedCases(phantom_dataset, phantom_plan, tmp_path_factory.mktemp("cache")).load(ids)


def make_task(cases, plan, **changes):
    config = SearchConfig(stem_channels=4, batch_size=2, num_epochs=2, steps_per_epoch=2)
    return BilevelTask(dataclasses.replace(config, **changes), plan, cases[:8], cases[8:])


def weights_of(task):
    return {name: tensor.clone() for name, tensor in task.state()["supernet"].items()}


def test_without_an_architecture_rate_only_the_weights_move(cases, phantom_plan):
    task = make_task(cases, phantom_plan, alpha_learning_rate=0.0)
    alpha, weights = task.alpha_TEO.detach().clone(), weights_of(task)
    task.begin(0, 1)
    task.step(0)
    assert torch.equal(task.alpha_TEO, alpha)
    assert any(not torch.equal(tensor, weights[name]) for name, tensor in weights_of(task).items())


def test_without_a_weight_rate_only_the_architecture_moves(cases, phantom_plan):
    task = make_task(cases, phantom_plan, weight_learning_rate=0.0)
    alpha, weights = task.alpha_TEO.detach().clone(), weights_of(task)
    task.begin(0, 1)
    task.step(0)
    assert not torch.equal(task.alpha_TEO, alpha)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in weights_of(task).items())


def test_two_tasks_with_one_seed_are_one_and_with_another_seed_another(cases, phantom_plan):
    def alpha_after_a_step(seed):
        task = make_task(cases, phantom_plan, seed=seed)
        task.begin(0, 1)
        task.step(0)
        return task.alpha_TEO.detach()

    first, again, other = (alpha_after_a_step(seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_epochs_figures_say_how_decided_the_search_is(cases, phantom_plan):
    task = make_task(cases, phantom_plan, tau_start=0.01, tau_end=0.01)
    task.begin(0, 2)
    losses = [task.step(number) for number in range(2)]
    record = task.finish_epoch(0, sum(losses) / 2)
    assert record["edges_without_alpha_gradient"] > 0.8
    assert 0 < record["alpha_entropy"] < 2.08
    assert record["tau"] == 0.01


def test_a_search_ends_early_once_nothing_changes_any_more(cases, phantom_plan):
    task = make_task(cases, phantom_plan, alpha_learning_rate=0.0, num_epochs=3, stop_after_stable_epochs=2)
    task.begin(0, 3)
    for epoch in range(3):
        assert not task.is_finished()
        task.step(epoch)
        task.finish_epoch(epoch, 0.5)
    assert task.is_finished()


def test_the_architecture_rests_while_the_weights_warm_up(cases, phantom_plan):
    task = make_task(cases, phantom_plan, num_epochs=4, steps_per_epoch=1, warmup=0.5, stop_after_stable_epochs=1)
    alpha, weights = task.alpha_TEO.detach().clone(), weights_of(task)
    task.begin(0, 4)
    for number in range(2):
        task.step(number)
        assert "alpha_entropy" not in task.finish_epoch(number, 0.5)
        assert not task.is_finished()
    assert torch.equal(task.alpha_TEO, alpha)
    assert any(not torch.equal(tensor, weights[name]) for name, tensor in weights_of(task).items())
    assert [task.tau(number) for number in (0, 2, 3)] == [task.tau(1), 10.0, pytest.approx(0.1)]
    task.step(2)
    assert not torch.equal(task.alpha_TEO, alpha)
    assert task.finish_epoch(2, 0.5)["architecture_loss"] > 0


@pytest.mark.parametrize("stop", [1, 3])
def test_a_search_goes_on_exactly_from_within_and_after_its_warm_up(stop, cases, phantom_plan):
    def make():
        cheap = (Operation.CONV, Operation.IDENTITY, Operation.ZERO)
        return make_task(cases, phantom_plan, num_epochs=1, steps_per_epoch=4, warmup=0.5, operations=cheap)

    whole, first, second = make(), make(), make()
    for task, begin, end in ((whole, 0, 4), (first, 0, stop)):
        task.begin(begin, 4 - begin)
        for number in range(begin, end):
            task.step(number)
    second.restore(first.state())
    second.begin(stop, 4 - stop)
    for number in range(stop, 4):
        second.step(number)
    assert torch.equal(second.alpha_TEO, whole.alpha_TEO)
    assert all(torch.equal(tensor, weights_of(second)[name]) for name, tensor in weights_of(whole).items())
    assert second.finish_epoch(0, 0.5) == whole.finish_epoch(0, 0.5)


def test_the_paper_preset_has_the_papers_settings():
    config = PRESETS["paper"]
    assert set(config.operations) == set(Operation)
    assert (config.stem_channels, config.batch_size, config.num_epochs) == (48, 4, 200)
    assert (config.weight_learning_rate, config.weight_betas) == (0.025, (0.9, 0.999))
    assert (config.alpha_learning_rate, config.alpha_betas) == (0.003, (0.5, 0.999))
    assert (config.plateau_factor, config.plateau_epochs, config.sampling) == (0.1, 20, "two")
    assert config.stop_after_stable_epochs is None
    assert {"complement": config.weight_betas, "literal": (0.1, 0.001)} == BETAS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_a_search_step_runs_on_the_gpu(cases, phantom_plan):
    task = make_task(cases, phantom_plan)
    task.begin(0, 1)
    assert 0 < task.step(0) < 1
