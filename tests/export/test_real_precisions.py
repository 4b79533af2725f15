"""The shipped network in lower precision, on the cases that its training has not seen."""

import pytest

from scnas_deploy.data.dataset import read_dataset
from scnas_deploy.export.half import to_half
from scnas_deploy.export.int8 import to_int8
from scnas_deploy.export.parity import LIMITS, RealPatches, compare, require_parity
from scnas_deploy.inference.canary import check_canary
from scnas_deploy.inference.engines.select import open_engine
from scnas_deploy.inference.package import open_package
from scnas_deploy.training.augmentation import NO_AUGMENTATION, Augmentation
from scnas_deploy.training.evaluation import Evaluator
from scnas_deploy.training.folds import fold_split
from scnas_deploy.training.patches import PatchStream
from scnas_deploy.training.prepared import PreparedCases
from tests.inference.conftest import SHIPPED

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def package():
    return open_package(SHIPPED)


@pytest.fixture(scope="module")
def dataset(scnas_data):
    return read_dataset(scnas_data / "Task04_Hippocampus")


@pytest.fixture(scope="module")
def split(dataset, package):
    return fold_split([case.id for case in dataset.cases], package.manifest.training.fold)


@pytest.fixture(scope="module")
def patches(dataset, package, split, tmp_path_factory):
    """Of the parity gate and for the calibration, as scnas export cuts them."""
    prepared = PreparedCases(dataset, package.plan, tmp_path_factory.mktemp("prepared"))
    plain = Augmentation(NO_AUGMENTATION, package.plan.patch_size, ())
    held_out = PatchStream(prepared.load(split.validation[:10]), plain, foreground=1.0, key=("parity",))
    learnt = PatchStream(prepared.load(split.training[::6]), plain, foreground=0.5, key=("calibration",))
    real = [RealPatches(*(tensor.numpy()[None] for tensor in held_out[number])) for number in range(10)]
    return real, [learnt[number][0].numpy()[None] for number in range(32)]


@pytest.fixture(scope="module")
def engines(package, patches):
    models = {"float16": to_half(package.model), "int8": to_int8(package.model, patches[1])}
    lower = {precision: open_engine(models, precision=precision).engine for precision in models}
    return {"float32": open_engine(package.models).engine, **lower}


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_it_passes_the_gate_of_its_precision(precision, engines, package, patches):
    (record,) = compare(engines["float32"], [engines[precision]], patches[0])
    print(record.model_dump_json(indent=1))  # noqa: T201
    require_parity(record, precision)
    answer = check_canary(engines[precision], package.canary)
    print(answer.model_dump_json(indent=1))  # noqa: T201
    assert answer.label_agreement >= 0.995


def test_in_eight_bits_whole_cases_keep_their_dice(engines, dataset, package, split):
    mean = {}
    for precision in ("float32", "int8"):
        evaluator = Evaluator(dataset, package.plan, engines[precision], precision, whole_multiple=None)
        mean[precision] = evaluator.evaluate(split.validation, fold=package.manifest.training.fold).mean_dice()
    print(mean)  # noqa: T201
    for label, dice in mean["float32"].items():
        assert mean["int8"][label] >= dice - LIMITS["int8"].max_dice_loss
