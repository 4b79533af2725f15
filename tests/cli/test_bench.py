"""scnas bench on a model, scnas bench --ops, and scnas search under a budget, as a user calls them."""

import json
import xml.etree.ElementTree as ElementTree

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.inference.package import open_package
from scnas_deploy.networks.costs import load_costs
from scnas_deploy.networks.genotype import load_genotype
from tests.inference.conftest import SHIPPED

SHORT = ("--preset", "cpu", "--epochs", "1", "--steps-per-epoch", "2")


QUICK = ("--repeats", "1", "--threads", "1")


def test_every_engine_here_is_measured_on_the_default_model(scnas):
    result = json.loads(scnas("bench", *QUICK, "--json", "--picture", "bars.svg", "--report", "page.html").stdout)
    assert result["model"] == "hippocampus"
    assert result["gmacs_per_patch"] == pytest.approx(open_package(SHIPPED).genotype.gmacs, abs=1e-3)
    assert result["num_threads"] == 1
    assert result["peak_gmacs_per_second"] > 0
    measured = [(row["engine"].split()[0], row["precision"]) for row in result["engines"]]
    assert measured == [
        ("openvino", "float32"), ("openvino", "int8"), ("onnxruntime", "float32"),
    ]  # fmt: skip
    for row in result["engines"]:
        assert row["error"] is None
        assert row["device"] == "CPU"
        assert row["gmacs_per_second"] == pytest.approx(row["patches_per_second"] * result["gmacs_per_patch"])
        assert row["share_of_peak"] == pytest.approx(row["gmacs_per_second"] / result["peak_gmacs_per_second"])
        assert 0 < row["share_of_peak"] < 10  # whatever else runs beside the tests
        assert row["study_seconds"] > 0
        assert 10e6 < row["peak_bytes"] < 2e9
        assert row["cpu_joules"] is None or row["cpu_joules"] > 0
        assert 32 * 1024**2 < row["said_bytes"] < 100e6
        assert row["taken_bytes"] is None or 0 <= row["taken_bytes"] < 2 * row["said_bytes"]
        assert row["label_agreement"] > 0.999
        assert abs(row["dice_loss"]) < 0.01
    page = (scnas.folder / "page.html").read_text()
    assert all(f"{row['engine']}, {row['precision']}" in page for row in result["engines"])
    picture = ElementTree.parse(scnas.folder / "bars.svg")
    bars = [element for element in picture.iter() if element.get("class") == "rate"]
    assert len(bars) == len(result["engines"])


def test_an_engine_that_fails_is_a_row_and_a_study_can_be_given(scnas):
    noise = np.random.default_rng(0).uniform(1, 100, (40, 56, 40)).astype(np.float32)
    nib.save(nib.Nifti1Image(noise, np.eye(4)), scnas.folder / "study.nii.gz")
    engines = ("--engine", "onnxruntime", "--engine", "abacus")
    printed = scnas("bench", *QUICK, *engines, "--study", "study.nii.gz", "-m", "hippocampus").stdout
    assert "The study: 40 x 56 x 40 voxels of 1 x 1 x 1 mm" in printed
    assert "onnxruntime" in printed.splitlines()[1]
    assert "abacus was not measured" in printed


def test_where_nothing_can_be_measured_the_reason_is_the_error(scnas):
    assert "'abacus'" in scnas.refused("bench", *QUICK, "--engine", "abacus", status=2)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--picture", "bars.png"), "ends in .svg"),
        (("--report", "page.pdf"), "ends in .html"),
        (("--ops", "--report", "page.html"), "--report"),
        (("--stem-channels", "16"), "--ops"),
        (("--ops", "-m", "hippocampus"), "--model"),
        (("--ops", "--engine", "openvino", "--engine", "onnxruntime"), "one engine"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(scnas, arguments, reason):
    assert reason in scnas.refused("bench", *arguments, status=2)


@pytest.mark.soak
def test_costs_are_measured_searched_with_and_verified(project):
    bench = project("bench", "--ops", "--engine", "openvino", "--threads", "1", "--stem-channels", "8")
    assert "conv_3x3x3 x 4" in bench.stdout
    costs = load_costs(project.folder / "costs.json")
    assert costs.stems == (8,)
    assert "between" in project.refused("search", *SHORT, "--budget-ms", "0.001", "--costs", "costs.json", status=2)
    budget = ("--budget-ms", "1000", "--costs", "costs.json")
    printed = project("search", *SHORT, *budget).stdout
    found = load_genotype(project.folder / "runs" / "search" / "genotype.json")
    assert (found.budget.kind, found.budget.limit, found.budget.engine) == ("ms", 1000, costs.engine)
    assert 0 < found.budget.measured < 1000
    assert found.architecture.stem_channels == 8
    assert costs.engine in printed
    assert load_costs(project.folder / "runs" / "search" / "costs.json") == costs
    costs.model_copy(update={"engine": "openvino 1.0"}).save(project.folder / "old.json")
    assert "openvino 1.0" in project.refused("search", *SHORT, *budget[:2], "--costs", "old.json", status=2)
    wider = ("--stem-channels", "64", "--name", "wider")
    assert "bench --ops" in project.refused("search", *SHORT, *budget, *wider, status=2)


@pytest.mark.soak
def test_a_networks_width_stays_with_its_budget(project):
    project("search", *SHORT, "--budget-gmacs", "0.05", "--stem-channels", "12")
    found = load_genotype(project.folder / "runs" / "search" / "genotype.json")
    assert found.gmacs == pytest.approx(found.budget.measured, abs=1e-4)
    assert found.budget.measured <= 0.05
    train = ("train", *SHORT)
    project(*train)
    trained = load_genotype(project.folder / "runs" / "train" / "genotype.json")
    assert (trained.architecture, trained.budget) == (found.architecture, found.budget)
    assert json.loads((project.folder / "runs" / "train" / "run.json").read_text())["config"]["stem_channels"] == 12
    project(*train, "--stem-channels", "8", "--name", "narrow")
    narrow = load_genotype(project.folder / "runs" / "narrow" / "genotype.json")
    assert (narrow.architecture.stem_channels, narrow.budget) == (8, None)


@pytest.mark.soak
def test_a_resumed_search_keeps_its_budget(project):
    project("search", *SHORT, "--budget-gmacs", "0.2")
    assert "--budget-gmacs" in project.refused("search", "--resume", "--budget-gmacs", "0.1", status=2)
