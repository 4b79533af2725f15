"""A study's labels, whatever memory they may take, and what was said of it beforehand."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from scnas_deploy.data.preprocess import way_back
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import CapacityError, OutputError
from scnas_deploy.inference import capacity
from scnas_deploy.inference.capacity import forecast
from scnas_deploy.inference.labelling import Labelling, label_study
from scnas_deploy.inference.predictor import Predictor
from tests.data.drawing import make_plan
from tests.inference.conftest import EngineFake

SHAPE = (61, 50, 47)
PLAN = make_plan(spacing_mm=(1.2, 1.0, 0.9)).model_copy(update={"patch_size": (16, 16, 16)})


def study(shape=SHAPE) -> Volume:
    """Smooth noise with a border of zeros, in an unusual orientation."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=shape).cumsum(axis=0).cumsum(axis=1)
    data = (1000 + 100 * data / data.std()).astype(np.int16)
    data[:, :6] = 0
    return Volume(data=data[None], affine_ras=np.diag([-1.0, 1.0, 1.1, 1.0]))


def answer(patches):
    """Three classes that depend on the voxel and on its place in the patch."""
    ramp = np.linspace(-0.3, 0.3, 16, dtype=np.float32)
    return np.concatenate([patches * 0, patches + ramp, 0.5 - patches - ramp[:, None]], axis=1)


def label(volume=None, **how):
    engine = EngineFake(answer)
    labelled = label_study(volume or study(), PLAN, Predictor(engine, PLAN), Labelling(**how))
    return labelled, engine


def tight(volume) -> int:
    """Memory that the study can do with when few logits are under way."""
    back, predictor = way_back(volume, PLAN), Predictor(EngineFake(answer), PLAN)
    first, *_, last = predictor.sweeps(back.prepared.shape)
    return forecast(volume, back, PLAN, predictor).peak - first.slab_bytes(3) + 2 * last.slab_bytes(3)


def test_less_memory_means_more_patches_and_the_same_labels(monkeypatch):
    monkeypatch.setattr(capacity, "_OTHERS", 0)
    volume = study((61, 90, 87))
    plain, _ = label(volume)
    limit = tight(volume)
    narrow, _ = label(volume, max_memory=limit)
    assert narrow.forecast.peak <= limit < plain.forecast.peak
    assert len(narrow.forecast.sweep.columns) > 1
    assert narrow.forecast.more_patches > 1 == plain.forecast.more_patches
    assert len(np.unique(plain.labels_XYZ)) == 3
    np.testing.assert_array_equal(narrow.labels_XYZ, plain.labels_XYZ)


def test_a_study_that_cannot_fit_is_refused_before_anything_is_computed():
    engine = EngineFake(answer)
    with pytest.raises(CapacityError, match=r"--max-memory: expected at most 0\.00 GB, found a study that takes"):
        label_study(study(), PLAN, Predictor(engine, PLAN), Labelling(max_memory=1_000_000))
    assert engine.batches == []


def test_without_a_limit_it_is_what_the_machine_has_left(monkeypatch):
    monkeypatch.setattr(capacity, "available_bytes", lambda: 1_000_000)
    with pytest.raises(CapacityError, match="Free memory, or use a machine with more"):
        label()


def test_what_it_takes_is_said_before_the_first_patch():
    events = []
    labelled, _ = label(announce=events.append, progress=lambda done, total: events.append(done))
    assert events[0] == labelled.forecast
    assert events[1] == 1


IN_A_FRESH_PROCESS = """
import sys
from pathlib import Path
from tests.inference.test_labelling import label, study
shape = tuple(map(int, sys.argv[1].split(",")))
labelled, _ = label(study(shape), probabilities=Path(sys.argv[2]) if sys.argv[2:] else None)
print(labelled.forecast.peak, labelled.taken_bytes)
"""


@pytest.mark.soak
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("shape", [(300, 260, 240), (240, 260, 300)], ids=["long in X", "long in Z"])
def test_what_was_said_is_about_what_it_took(shape, probabilities, tmp_path):
    """In a process that holds no freed memory from before; benchmarks/large_volume.py does it at full size."""
    arguments = [",".join(map(str, shape)), *([str(tmp_path / "probabilities.npy")] if probabilities else [])]
    command = [sys.executable, "-c", IN_A_FRESH_PROCESS, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    said, taken = map(int, ended.stdout.split())
    assert 0.75 * said < taken < 1.1 * said


def test_bringing_probabilities_back_is_in_the_forecast():
    """Of both grids a class, float16, beside the labels on the study's grid."""
    volume, predictor = study((200, 180, 170)), Predictor(EngineFake(answer), PLAN)
    back = way_back(volume, PLAN)
    without, with_them = (forecast(volume, back, PLAN, predictor, probabilities=wanted) for wanted in (False, True))
    voxels, on_study = np.prod(back.prepared.shape), volume.data[0].size
    least = voxels + on_study + 2 * (voxels + on_study) + back.restore_probabilities_bytes()
    assert with_them.restoring >= least > without.restoring


def test_an_empty_part_of_the_study_is_background_and_not_computed():
    volume = study((120, 40, 40))
    volume.data[:, 40:80] = 0
    labelled, engine = label(volume)
    total = Predictor(engine, PLAN).sweeps(way_back(volume, PLAN).prepared.shape)[0].num_patches
    assert 0 < sum(engine.batches) < total
    assert not labelled.labels_XYZ[50:70].any()
    assert labelled.labels_XYZ[:36].any()
    assert labelled.labels_XYZ[84:].any()


def test_probabilities_lie_on_the_studys_grid_and_agree_with_the_labels(tmp_path):
    target = tmp_path / "probabilities.npy"
    labelled, _ = label(probabilities=target)
    stored = np.load(target, mmap_mode="r")
    assert stored.dtype == np.float16
    assert stored.shape == (3, *SHAPE)
    np.testing.assert_allclose(stored.sum(axis=0, dtype=np.float32), 1, atol=3e-3)
    values = np.array([0, 1, 3])
    ordered = np.sort(stored, axis=0)
    clear = ordered[-1] - ordered[-2] > 0.1
    assert clear.mean() > 0.2
    agree = values[stored.argmax(axis=0)] == labelled.labels_XYZ
    assert agree[clear].mean() > 0.97
    assert stored[0, :, :4].min() == 1
    assert list(tmp_path.iterdir()) == [target]


def test_probabilities_that_do_not_fit_on_the_disk_are_an_output_error_and_leave_nothing(small_disk):
    with pytest.raises(OutputError, match="enough space"):
        label(probabilities=small_disk / "probabilities.npy")
    assert list(small_disk.iterdir()) == []


def test_a_disk_too_small_for_the_studys_own_grid_is_found_out_before_anything_is_computed(small_disk):
    """On the prepared grid, six times coarser, the probabilities take 8 KB of the disk's 16."""
    coarse, engine = make_plan(spacing_mm=(6.0, 6.0, 6.0)), EngineFake(lambda patches: patches.repeat(3, axis=1))
    how = Labelling(probabilities=small_disk / "probabilities.npy")
    with pytest.raises(OutputError, match="enough space"):
        label_study(study(), coarse, Predictor(engine, coarse), how)
    assert engine.batches == []
    assert list(small_disk.iterdir()) == []


def test_labels_do_not_depend_on_how_the_study_is_stored():
    plain, _ = label()
    mirrored = replace(study(), data=study().data[:, ::-1], affine_ras=study().affine_ras @ _flip(SHAPE[0]))
    turned, _ = label(mirrored)
    np.testing.assert_array_equal(turned.labels_XYZ[::-1], plain.labels_XYZ)


def _flip(size):
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = size - 1
    return flip


def test_no_more_memory_is_taken_than_is_worth_it_unless_it_is_allowed(monkeypatch):
    """Columns that halve the logits are taken where they cost little, also where all of them would fit."""
    monkeypatch.setattr(capacity, "_OTHERS", 0)
    volume = study((150, 192, 182))
    back, predictor = way_back(volume, PLAN), Predictor(EngineFake(answer), PLAN)
    plain = forecast(volume, back, PLAN, predictor)
    monkeypatch.setattr(capacity, "_MODEST", plain.peak - 1)
    modest = forecast(volume, back, PLAN, predictor)
    assert plain.more_patches == 1 < modest.more_patches <= 1.1
    assert modest.peak < plain.peak
    assert forecast(volume, back, PLAN, predictor, limit=plain.peak).more_patches == 1
    monkeypatch.setattr(capacity, "_MODEST", 0)
    assert forecast(volume, back, PLAN, predictor).more_patches == 1
