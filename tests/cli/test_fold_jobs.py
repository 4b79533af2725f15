"""What a fold needs next follows from what lies in its run folders."""

import pytest

from scnas_deploy.cli.fold_jobs import FoldJob, RunSettings
from scnas_deploy.errors import ConfigError
from scnas_deploy.training.runs import RunRecord
from tests.conftest import make_genotype

CONFIG = {"seed": 0, "num_epochs": 2, "steps_per_epoch": 3}


def make_job(project, **changes) -> FoldJob:
    given = {"fold": 1, "seed": None, "name": "fold1", "genotype": None, "settings": RunSettings()}
    return FoldJob(project=project, **{**given, **changes})


def begin(run, kind, plan, genotype=None, fold=1):
    run.create(RunRecord(kind=kind, fold=fold, preset="cpu", config=CONFIG), plan, genotype)


@pytest.fixture
def other_genotype():
    return make_genotype(("conv_3x3x3",) * 14)


def test_search_training_and_evaluation_follow_one_another(tmp_path, phantom_plan, varied_genotype):
    job = make_job(tmp_path, seed=5, settings=RunSettings(preset="cpu", num_epochs=2, steps_per_epoch=3))
    own = ["--fold", "1", "--seed", "5"]
    settings = ["--preset", "cpu", "--epochs", "2", "--steps-per-epoch", "3"]
    place = ["--project", str(tmp_path), "--name"]
    assert job.next_command() == ["search", *place, "search-fold1", *own, *settings]
    begin(job.search, "search", phantom_plan)
    assert job.next_command() == ["search", *place, "search-fold1", "--resume"]
    varied_genotype.save(job.source)
    assert job.next_command() == ["train", *place, "train-fold1", *own, "--genotype", str(job.source), *settings]
    begin(job.train, "train", phantom_plan, varied_genotype)
    assert job.next_command() == ["train", *place, "train-fold1", "--resume"]
    (job.train.path / "weights.safetensors").touch()
    assert job.next_command() == ["evaluate", *place, "train-fold1"]
    (job.train.path / "evaluation.json").touch()
    assert job.next_command() is None


def test_a_given_genotype_is_not_searched(tmp_path, varied_genotype):
    varied_genotype.save(tmp_path / "given.json")
    job = make_job(tmp_path, genotype=tmp_path / "given.json")
    assert job.search is None
    assert job.next_command()[0] == "train"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"fold": 2}, "fold 1"),
        ({"seed": 3}, "seed 0"),
        ({"settings": RunSettings(num_epochs=9)}, "num_epochs 2"),
        ({"settings": RunSettings(preset="fast")}, "preset cpu"),
    ],
)
def test_a_run_begun_with_other_settings_is_not_counted_in(tmp_path, phantom_plan, changes, named):
    begin(make_job(tmp_path).search, "search", phantom_plan)
    make_job(tmp_path).check()
    with pytest.raises(ConfigError, match=named):
        make_job(tmp_path, **changes).check()


def test_a_training_of_another_genotype_is_not_counted_in(tmp_path, phantom_plan, varied_genotype, other_genotype):
    job = make_job(tmp_path, genotype=tmp_path / "given.json")
    varied_genotype.save(job.genotype)
    begin(job.train, "train", phantom_plan, varied_genotype)
    job.check()
    other_genotype.save(job.genotype)
    with pytest.raises(ConfigError, match="genotype"):
        job.check()
    with pytest.raises(ConfigError, match="not searched yet"):
        make_job(tmp_path).check()
