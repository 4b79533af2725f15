"""init, search, train, evaluate, export, segment: bare as a rule, one after the other, on the phantom."""

import json

import numpy as np
import pytest

from scnas_deploy.inference.package import open_package
from scnas_deploy.networks.genotype import load_genotype
from tests.cli.conftest import CommandLine


@pytest.fixture(scope="module")
def finished(tmp_path_factory, phantom_dataset) -> CommandLine:
    folder = tmp_path_factory.mktemp("chain")
    scnas = CommandLine(folder, folder / "models")
    scnas("init", phantom_dataset.root)
    toml = folder / "scnas.toml"
    toml.write_text(toml.read_text().replace("memory_gib =", "patch_size = [24, 24, 24]\nmemory_gib ="))
    scnas("init")
    scnas("search", "--epochs", "2", "--steps-per-epoch", "2")
    scnas("train", "--epochs", "4", "--steps-per-epoch", "8")
    scnas("evaluate")
    scnas.exported = scnas("export", "--trt").stdout
    return scnas


@pytest.fixture(scope="module")
def of_package(finished) -> dict:
    """What the package scores."""
    return json.loads(finished("evaluate", "-m", "phantom", "--json").stdout)


def test_the_package_carries_the_searchs_genotype(finished):
    found = load_genotype(finished.folder / "runs" / "search" / "genotype.json")
    package = open_package(finished.models / "phantom.scnas")
    assert package.manifest.structure_hash == found.architecture.structure_hash
    assert package.genotype.provenance == found.provenance
    assert package.genotype.architecture.stem_channels == 16


def test_the_provenance_says_what_the_search_cost_and_saw(finished):
    provenance = load_genotype(finished.folder / "runs" / "search" / "genotype.json").provenance
    assert provenance.search_seconds > 0
    assert provenance.training_cases == 8
    assert provenance.settings["operations"] == ["conv_3x3x3", "identity", "zero"]


def test_the_export_builds_an_engine_for_a_gpu_or_says_where_to(finished):
    built, elsewhere = "Built by tensorrt", "without PyTorch: scnas export phantom.scnas --trt"
    assert (built in finished.exported) != (elsewhere in finished.exported)


def test_the_gap_from_supernet_to_retrained_network_is_on_the_same_patches(finished):
    provenance = load_genotype(finished.folder / "runs" / "search" / "genotype.json").provenance
    gap = json.loads((finished.folder / "runs" / "train" / "gap.json").read_text())
    assert gap["patches"] == provenance.report_patches
    assert (gap["supernet"], gap["derived"]) == (provenance.supernet_dice, provenance.derived_dice)
    assert gap["retrained"] > gap["derived"]


def test_run_and_package_score_the_same(finished, of_package):
    of_run = json.loads((finished.folder / "runs" / "train" / "evaluation.json").read_text())
    assert [case["case_id"] for case in of_package["cases"]] == [case["case_id"] for case in of_run["cases"]]
    for ours, theirs in zip(of_package["cases"], of_run["cases"], strict=True):
        np.testing.assert_allclose(list(ours["dice"].values()), list(theirs["dice"].values()), atol=2e-3)
    measured = open_package(finished.models / "phantom.scnas").manifest.measured_dice
    assert measured.num_cases == 2
    rows = (finished.folder / "runs" / "train" / "evaluation.csv").read_text().splitlines()
    assert len(rows) == 3


def test_an_evaluation_is_written_for_programs_tables_and_people(finished):
    run = finished.folder / "runs" / "train"
    scored = json.loads((run / "evaluation.json").read_text())
    assert (scored["schema"], scored["subject"], scored["nsd_tolerance_mm"]) == (1, "train", 1.0)
    assert all(set(case[metric]) == {"front", "back"} for case in scored["cases"] for metric in ("hd95_mm", "nsd"))
    assert (run / "evaluation.csv").read_text().startswith("case,Dice front,Dice back,HD95 mm front")
    page = (run / "evaluation.html").read_text()
    for case in scored["cases"]:
        assert f'href="cases/{case["case_id"]}.html"' in page
        assert (run / "cases" / f"{case['case_id']}.html").is_file()


def test_a_package_reports_into_a_folder_and_compares_with_its_run(finished, tmp_path):
    folder = tmp_path / "new" / "report"
    printed = finished("evaluate", "-m", "phantom", "--report", folder).stdout
    assert "HD95 mm" in printed
    assert "Mean foreground Dice" in printed
    assert f"Wrote {folder / 'evaluation.html'}" in printed
    evaluated = {f"evaluation.{kind}" for kind in ("json", "csv", "html")}
    assert {path.name for path in folder.iterdir()} == {*evaluated, "cases"}
    assert len(list((folder / "cases").iterdir())) == 2
    compared = json.loads(finished("evaluate", "--compare", "train", folder, "--json").stdout)
    assert (compared["subject_a"], compared["subject_b"], compared["num_cases"]) == ("train", "phantom", 2)
    assert abs(compared["metrics"]["dice"]["mean_foreground"]["difference"]) < 2e-3


def test_mirroring_is_said_and_does_no_harm(finished, of_package):
    mirrored = json.loads(finished("evaluate", "-m", "phantom", "--mirror", "--json").stdout)
    assert "mirrored 8 ways" in mirrored["engine"]
    for name, value in of_package["mean_dice"].items():
        assert mirrored["mean_dice"][name] > value - 0.1


def test_held_out_cases_are_in_no_training(finished, phantom_dataset):
    from scnas_deploy.training.folds import fold_split

    split = fold_split([case.id for case in phantom_dataset.cases], 0)
    scored = json.loads((finished.folder / "runs" / "train" / "evaluation.json").read_text())["cases"]
    assert {case["case_id"] for case in scored} == set(split.validation)
    assert not set(split.validation) & set(split.training)


def test_training_learned_something(finished):
    scored = json.loads((finished.folder / "runs" / "train" / "evaluation.json").read_text())["cases"]
    assert np.mean([value for case in scored for value in case["dice"].values()]) > 0.3


def test_the_installed_model_segments_bare(finished, phantom_dataset):
    result = finished("segment", phantom_dataset.cases[0].images[0])
    assert "front" in result.stdout
    assert (finished.folder / "phantom_000_seg.nii.gz").is_file()


def test_an_unfinished_run_cannot_be_exported(finished):
    (finished.folder / "runs" / "begun").mkdir()
    for name in ("run.json", "plan.json", "genotype.json"):
        source = finished.folder / "runs" / "train" / name
        (finished.folder / "runs" / "begun" / name).write_bytes(source.read_bytes())
    assert "--resume" in finished.refused("export", "--name", "begun", status=3)


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_run_that_nobody_started_is_named_beside_those_that_were(finished, command):
    message = finished.refused(command, "--name", "nobody", status=3)
    there = message.partition("those here:")[2].partition(".")[0]
    assert "nobody" in message
    assert "train" in there
