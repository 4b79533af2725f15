"""The public surface is frozen, and importing it costs nothing heavy."""

import subprocess
import sys

import scnas_deploy


def test_the_public_names_are_these():
    assert scnas_deploy.__all__ == ["Genotype", "Plan", "build", "load_model", "load_volume", "segment"]
    assert dir(scnas_deploy) == scnas_deploy.__all__
    assert all(getattr(scnas_deploy, name) is not None for name in scnas_deploy.__all__)


def test_importing_the_package_loads_nothing_heavy():
    check = (
        "import sys, scnas_deploy; print([m for m in ('torch', 'numpy', 'SimpleITK', 'openvino') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_study_is_segmented_from_python(exported, phantom_dataset, tmp_path):
    model = scnas_deploy.load_model(exported.package)
    result = scnas_deploy.segment(phantom_dataset.cases[0].images[0], model)
    result.save(tmp_path / "labels.nii.gz")
    assert set(result.volumes_ml()) == {"front", "back"}
    assert scnas_deploy.load_volume(tmp_path / "labels.nii.gz").shape == result.labels_XYZ.shape
