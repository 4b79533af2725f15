"""A run's curves come from its metrics."""

import json

import pytest
import torch

from scnas_deploy.drawing.curves import draw_curves
from scnas_deploy.errors import FormatError
from scnas_deploy.networks.genotype import Operation
from scnas_deploy.search.monitor import Monitor


def write_metrics(folder, records):
    folder.joinpath("metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def training(epoch):
    return {"epoch": epoch, "loss": 0.5 / (epoch + 1), "validation_loss": 0.6 / (epoch + 1), "learning_rate": 1e-3}


def search(epoch):
    observed = Monitor(tuple(Operation)).observe(torch.randn(4, 14, 8))
    figures = {"tau": 10.0 - epoch, "edges_without_alpha_gradient": 0.1, "architecture_loss": 0.4}
    return {**training(epoch), **observed, **figures}


def test_a_training_shows_losses_and_rate(tmp_path):
    write_metrics(tmp_path, [training(epoch) for epoch in range(3)])
    svg = draw_curves(tmp_path)
    assert svg.count('id="axes_') == 2


def test_a_search_shows_its_operations_too(tmp_path):
    write_metrics(tmp_path, [search(epoch) for epoch in range(3)])
    svg = draw_curves(tmp_path)
    assert svg.count('id="axes_') == 7


@pytest.mark.parametrize(("num_decided", "num_panels"), [(0, 2), (2, 7)])
def test_a_warm_up_has_no_operations_to_show(num_decided, num_panels, tmp_path):
    warming = [{**training(epoch), "tau": 10.0} for epoch in range(2)]
    write_metrics(tmp_path, [*warming, *(search(2 + epoch) for epoch in range(num_decided))])
    assert draw_curves(tmp_path).count('id="axes_') == num_panels


def test_a_search_by_a_controller_shows_its_rewards(tmp_path):
    rewards = {"mean_reward": 0.5, "best_reward": 0.6, "baseline": 0.4, "controller_entropy": 0.7}
    write_metrics(tmp_path, [{"epoch": epoch, "loss": 0.5, "learning_rate": 1e-3, **rewards} for epoch in range(3)])
    svg = draw_curves(tmp_path)
    assert svg.count('id="axes_') == 4
    for written in ("Dice loss of the children", "best child", "controller", "episode"):
        assert written in svg
    assert "Jaccard" not in svg


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"metrics\.jsonl"):
        draw_curves(tmp_path)
