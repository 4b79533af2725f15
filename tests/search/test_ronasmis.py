"""Children train the shared weights, are rewarded on other cases, and teach the controller."""

import dataclasses

import numpy as np
import pytest
import torch

from scnas_deploy.errors import ConfigError
from scnas_deploy.inference.engines.pytorch import TorchEngine
from scnas_deploy.inference.predictor import Predictor
from scnas_deploy.networks.builder import build
from scnas_deploy.networks.genotype import own_patch_size, whole_multiple
from scnas_deploy.networks.weights import load_weights
from scnas_deploy.search.reward import mean_dice
from scnas_deploy.search.ronasmis import RonasmisTask
from scnas_deploy.search.ronasmis_config import RONASMIS_PRESETS, RonasmisConfig
from scnas_deploy.training.distributed import ALONE, World
from scnas_deploy.training.evaluation import dice
from scnas_deploy.training.prepared import PreparedCases


@pytest.fixture(scope="module")
def cases(phantom_dataset, phantom_plan, tmp_path_factory):
    ids = [case.id for case in phantom_dataset.cases]
    return PreparedCases(phantom_dataset, phantom_plan, tmp_path_factory.mktemp("cache")).load(ids)


def make_task(cases, plan, **changes):
    config = RonasmisConfig(
        stem_channels=4, num_epochs=2, steps_per_epoch=3, steps_per_child=2, final_children=2, weight_learning_rate=0.01
    )
    return RonasmisTask(dataclasses.replace(config, **changes), plan, cases[:8], cases[8:])


def run(task, first=0, last=6):
    task.begin(first, 6 - first)
    losses = []
    for number in range(first, last):
        losses.append(task.step(number))
        if (number + 1) % 3 == 0:
            task.finish_epoch(number // 3, 0.0)
    return losses


def flat(state):
    """All tensors of a state by path."""
    if isinstance(state, torch.Tensor):
        return {"": state}
    pairs = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else ()
    return {f"{key}/{path}": tensor for key, value in pairs for path, tensor in flat(value).items()}


def test_a_restored_search_goes_on_to_the_same_bits_even_in_the_middle_of_an_episode(cases, phantom_plan):
    whole, first, second = (make_task(cases, phantom_plan) for _ in range(3))
    run(whole)
    run(first, last=4)
    second.restore(first.state())
    run(second, first=4)
    expected, found = flat(whole.state()), flat(second.state())
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[path]) for path, tensor in expected.items())
    assert whole.derive().architecture == second.derive().architecture


def test_training_lowers_the_loss(cases, phantom_plan):
    task = make_task(cases, phantom_plan, num_epochs=4, steps_per_epoch=5, steps_per_child=4)
    task.begin(0, 20)
    losses = [task.step(number) for number in range(20)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.05


def test_the_found_network_answers_what_its_child_did_without_training(cases, phantom_plan):
    task = make_task(cases, phantom_plan)
    run(task)
    found = task.derive()
    network = build(found.architecture, in_channels=1, num_classes=3)
    load_weights(network, found.weights)
    plan = phantom_plan.with_patch_size(own_patch_size(found.architecture))
    predictor = Predictor(TorchEngine(network), plan, whole_multiple=whole_multiple(found.architecture))
    scores = []
    for case in cases[8:]:
        labels = predictor.predict(np.asarray(case.image_CXYZ))
        classes = np.asarray(case.classes_XYZ)
        values = enumerate((label.value for label in plan.labels), 1)
        scores.append(np.mean([dice(classes == index, labels == value) for index, value in values]))
    rewarded = mean_dice(task._network, found.architecture, cases[8:], phantom_plan, ALONE)
    assert rewarded == pytest.approx(np.mean(scores), abs=1e-9)


def test_an_episodes_figures_say_what_was_rewarded(cases, phantom_plan):
    task = make_task(cases, phantom_plan)
    task.begin(0, 6)
    for number in range(3):
        task.step(number)
    record = task.finish_epoch(0, 0.5)
    assert 0 <= record["mean_reward"] <= record["best_reward"] <= 1
    assert 0.6 < record["controller_entropy"] < 1.0
    assert record["baseline"] is not None
    assert task.state()["children"] == []


def test_a_child_takes_its_own_patch_size_from_the_middle(cases, phantom_plan, monkeypatch):
    seen = []
    task = make_task(cases, phantom_plan.with_patch_size((48, 48, 48)))
    supervised = task._network.supervised

    def spy(image, child):
        seen.append((tuple(image.shape[2:]), child.patch_size))
        return supervised(image, child)

    monkeypatch.setattr(task._network, "supervised", spy)
    run(task)
    assert len({size for size, _ in seen}) > 1
    assert all(size == patch for size, patch in seen)


def test_one_epoch_of_the_cases_is_shared_among_the_children_where_nothing_else_is_said(cases, phantom_plan):
    task = make_task(cases * 4, phantom_plan, steps_per_child=None, steps_per_epoch=2)
    assert task._steps_per_child == 8 // (2 * 2)


def test_a_batch_that_does_not_divide_is_refused(cases, phantom_plan):
    config = RonasmisConfig(batch_size=3)
    with pytest.raises(ConfigError, match="multiple of the number of processes"):
        RonasmisTask(config, phantom_plan, cases[:8], cases[8:], World(world_size=2))


def test_the_paper_preset_has_what_is_known_of_the_paper():
    config = RONASMIS_PRESETS["paper"]
    assert (config.steps_per_epoch, config.num_epochs, config.stem_channels) == (20, 150, 32)
    assert (config.controller_learning_rate, config.entropy_weight, config.baseline_decay) == (1e-3, 1e-4, 0.95)
    assert not config.augmentation.moves_voxels
    assert config.augmentation.p_gamma == 0
    assert config.augmentation.mirror
