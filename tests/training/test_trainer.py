"""The learning-rate rules are the paper's, and training learns."""

import dataclasses

import pytest
import torch

from scnas_deploy.training.prepared import PreparedCases
from scnas_deploy.training.run import build_network
from scnas_deploy.training.trainer import PRESETS, TrainingConfig, TrainingTask, advance, make_schedule, plateau_rule


def adam():
    return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def rates(schedule, optimizer, losses):
    observed = []
    for loss in losses:
        optimizer.step()
        advance(schedule, loss)
        observed.append(optimizer.param_groups[0]["lr"])
    return observed


def test_the_rate_falls_once_thirty_epochs_have_not_lowered_the_loss():
    optimizer = adam()
    observed = rates(plateau_rule(optimizer, 0.2, 30), optimizer, [1.0] * 31 + [0.9] + [0.95] * 30)
    assert observed[:30] == [1.0] * 30
    assert observed[30:61] == [pytest.approx(0.2)] * 31
    assert observed[61] == pytest.approx(0.04)


def test_a_slowly_falling_loss_is_no_plateau():
    optimizer = adam()
    assert set(rates(plateau_rule(optimizer, 0.2, 5), optimizer, [1 - 1e-6 * i for i in range(50)])) == {1.0}


def test_the_short_rule_ends_near_zero():
    optimizer = adam()
    config = dataclasses.replace(PRESETS["cpu"], num_epochs=10)
    observed = rates(make_schedule(config, optimizer), optimizer, [1.0] * 10)
    assert observed == sorted(observed, reverse=True)
    assert observed[-1] == pytest.approx(0)


def test_the_paper_preset_has_the_papers_settings():
    config = PRESETS["paper"]
    assert (config.stem_channels, config.batch_size, config.learning_rate) == (68, 8, 3e-4)
    assert (config.betas, config.plateau_factor, config.plateau_epochs) == ((0.9, 0.999), 0.2, 30)
    assert (config.num_epochs, config.min_learning_rate, config.schedule) == (500, 1e-7, "plateau")


def test_a_few_steps_lower_the_loss_on_cases_held_out(phantom_dataset, phantom_plan, varied_genotype, tmp_path):
    cases = PreparedCases(phantom_dataset, phantom_plan, tmp_path).load([case.id for case in phantom_dataset.cases])
    config = TrainingConfig(batch_size=2, learning_rate=1e-2, num_epochs=1, steps_per_epoch=25, validation_batches=2)
    network = build_network(varied_genotype.architecture.with_stem(8), phantom_plan, seed=0)
    task = TrainingTask(network, config, phantom_plan, cases[:8], cases[8:])
    before = task.finish_epoch(0, 1.0)["validation_loss"]
    task.begin(0, 25)
    for number in range(25):
        task.step(number)
    assert task.finish_epoch(0, 1.0)["validation_loss"] < before - 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_a_step_on_the_gpu_lowers_the_loss(phantom_dataset, phantom_plan, varied_genotype, tmp_path):
    cases = PreparedCases(phantom_dataset, phantom_plan, tmp_path).load([case.id for case in phantom_dataset.cases])
    config = TrainingConfig(batch_size=2, learning_rate=1e-2, num_epochs=1, steps_per_epoch=20)
    task = TrainingTask(
        build_network(varied_genotype.architecture, phantom_plan), config, phantom_plan, cases[:8], cases[8:]
    )
    task.begin(0, 20)
    losses = [task.step(number) for number in range(20)]
    assert next(task.network.parameters()).is_cuda
    assert sum(losses[-5:]) < sum(losses[:5])
