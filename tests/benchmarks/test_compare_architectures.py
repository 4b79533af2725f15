"""The comparison of architectures runs from trained networks to its table, on the phantom and for a second each."""

import argparse
import json
from types import SimpleNamespace

import pytest

from benchmarks.compare_architectures import FOUND, Candidate, architectures, report, spread_of, train_all
from scnas_deploy.networks.genotype import UResNetArchitecture


@pytest.mark.soak
def test_trainings_are_kept_and_compared(phantom_dataset, phantom_plan, varied_genotype, tmp_path, capfd):
    named = dict(architectures([varied_genotype], 1, phantom_plan))
    assert list(named) == [f"{FOUND} 0", "random 0", "U-ResNet", "PlainConvUNet"]
    chosen = {name: named[name] for name in (f"{FOUND} 0", "random 0")} | {"U-ResNet": UResNetArchitecture()}
    candidates = [
        Candidate(name=name, architecture=architecture.with_stem(4), milliseconds=1.0)
        for name, architecture in chosen.items()
    ]
    arguments = argparse.Namespace(seconds=1.0, seeds=2)
    outcomes = train_all(candidates, phantom_dataset, phantom_plan, tmp_path, arguments)
    assert {len(of_candidate) for of_candidate in outcomes.values()} == {2}
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(kept) == 6
    assert train_all(candidates, phantom_dataset, phantom_plan, tmp_path, arguments) == outcomes
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept
    report(candidates, outcomes, arguments, phantom_plan)
    printed = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert printed["rows"][f"{FOUND} 0"]["minus_found"] == 0
    only_random = printed["rows"]["random 0"]
    assert printed["random_minus_found"]["minus_found"] == only_random["minus_found"]
    assert printed["random_minus_found"]["interval"] == only_random["interval"]
    assert all(len(row["dice_by_seed"]) == 2 for row in printed["rows"].values())


def scored(*scores):
    return [SimpleNamespace(evaluation=SimpleNamespace(mean_foreground=lambda score=score: score)) for score in scores]


def test_the_spread_is_that_of_genotypes_of_the_space_about_their_kinds_mean():
    outcomes = {"found 0": scored(0.80, 0.82), "found 1": scored(0.84, 0.86)}
    outcomes |= {"random 0": scored(0.80, 0.82), "random 1": scored(0.80, 0.82), "U-ResNet": scored(0.1, 0.9)}
    assert spread_of(outcomes) == {
        "between_genotypes": 0.02,
        "between_trainings": 0.0141,
        "standard_error": 0.02,
    }


def test_one_genotype_of_each_kind_trained_once_has_no_spread():
    assert set(spread_of({"found 0": scored(0.8), "random 0": scored(0.7)}).values()) == {None}
