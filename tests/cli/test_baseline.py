"""scnas baseline: networks that were not searched go the same way to a package."""

import pytest

from scnas_deploy.networks.genotype import load_genotype


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["u_resnet", "plain_conv_unet"])
def test_a_baseline_is_trained_and_exported(project, kind):
    project("baseline", kind, "-o", project.folder / "genotype.json")
    project("train", "--genotype", project.folder / "genotype.json", "--stem-channels", "4",
            "--epochs", "1", "--steps-per-epoch", "1")  # fmt: skip
    assert kind in load_genotype(project.folder / "runs" / "train" / "genotype.json").provenance.made_by
    project("evaluate")
    project("export", "--as", kind.replace("_", "-"))
    assert kind.replace("_", "-") in project("models").stdout


@pytest.mark.soak
def test_the_width_is_chosen_for_a_cost(project):
    project("baseline", "random", "-o", project.folder / "genotype.json", "--seed", "3", "--target-gmacs", "0.2")
    written = load_genotype(project.folder / "genotype.json")
    assert written.gmacs == pytest.approx(0.2, rel=0.3)
    assert written.provenance.seed == 3
    project("train", "--genotype", project.folder / "genotype.json", "--target-gmacs", "0.05",
            "--epochs", "1", "--steps-per-epoch", "1")  # fmt: skip
    trained = load_genotype(project.folder / "runs" / "train" / "genotype.json")
    assert trained.gmacs == pytest.approx(0.05, rel=0.3)
    assert trained.architecture.structure_hash == written.architecture.structure_hash
