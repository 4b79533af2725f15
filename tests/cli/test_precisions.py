"""--fp16, --int8 and --precision, from a trained run to a scored package."""

import json

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.inference.package import MODELS, open_package


def test_a_package_is_evaluated_in_the_precision_asked_for(project, in_all_precisions):
    scored = {
        precision: json.loads(
            project("evaluate", "-m", in_all_precisions.package, "--precision", precision, "--json").stdout
        )
        for precision in ("float32", "float16")
    }
    assert scored["float16"]["engine"].endswith(", float16")
    assert not scored["float32"]["engine"].endswith("32")
    for label, dice in scored["float32"]["mean_dice"].items():
        assert scored["float16"]["mean_dice"][label] == pytest.approx(dice, abs=1e-3)


def test_a_run_is_evaluated_in_float32_alone(project):
    message = project.refused("evaluate", "--precision", "int8", status=2)
    assert "--precision: expected a package, with -m, beside it, found int8 of a run" in message


@pytest.mark.parametrize("option", ["--fp16", "--int8"])
def test_a_package_alone_proves_no_other_precision(option, scnas, exported):
    message = scnas.refused("export", exported.package, option, "--triton", "repository", status=2)
    assert f"{option}: expected a training run" in message


@pytest.mark.soak
def test_a_trained_run_is_exported_in_all_precisions_and_used_in_each(project, phantom_dataset):
    project("baseline", "plain_conv_unet", "-o", "plain.json")
    project("train", "--genotype", "plain.json", "--stem-channels", "8", "--epochs", "6", "--steps-per-epoch", "20")
    project("evaluate")
    printed = project("export", "--fp16", "--int8").stdout
    rows = [line for line in printed.splitlines() if line.startswith(("openvino", "onnxruntime"))]
    assert [row.split()[2] for row in rows] == ["float32", "float32", "float16", "int8"]
    package = open_package(project.models / "phantom.scnas")
    assert package.models.keys() == MODELS.keys()
    study, masks = phantom_dataset.cases[-1].images[0], {}
    for precision in MODELS:
        project("segment", study, "--precision", precision, "-o", f"{precision}.nii")
        masks[precision] = np.asanyarray(nib.load(project.folder / f"{precision}.nii").dataobj)
    assert (masks["float16"] == masks["float32"]).mean() >= 0.999
    assert (masks["int8"] == masks["float32"]).mean() >= 0.99
    assert len(np.unique(masks["float32"])) == 3
