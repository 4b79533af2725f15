"""A model answers as its network did, and refuses what it was not made for."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from scnas_deploy.data.check import load_case
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ConfigError, EngineError, FingerprintError, FormatError, PackageError
from scnas_deploy.inference.canary import check_canary
from scnas_deploy.inference.canary_limits import SLACK
from scnas_deploy.inference.engines import select
from scnas_deploy.inference.model import Model, SegmentOptions, load_model
from tests.inference.conftest import EngineFake, constant_logits, install_only


@pytest.fixture(scope="module")
def study(phantom_dataset) -> Volume:
    return load_case(phantom_dataset, phantom_dataset.cases[0])[0]


@pytest.fixture(scope="module")
def result(model, study):
    return model.segment(study)


def small(study: Volume) -> Volume:
    """The study at a third of its voxel size: outside of the limits, and one patch large."""
    affine = np.diag([0.33, 0.33, 0.33, 1.0])
    return Volume(data=study.data, affine_ras=affine)


def test_an_exported_model_segments_a_study_on_its_own_grid(model, study, result):
    assert result.labels_XYZ.shape == study.shape
    assert result.study is study
    assert set(np.unique(result.labels_XYZ)) <= {0, 1, 2}
    assert result.labels_XYZ.any()
    assert result.outside_limits == ()
    assert (result.model_name, result.model_digest) == ("phantom", model.package.digest)
    assert result.engine == model.engine.name
    assert "fastest" in model.engine_reason


def test_the_mask_does_not_depend_on_how_the_study_is_stored(model, study, result):
    """The same patient, stored back to front and with other axes first, gets the same mask."""
    affine = study.affine_ras.copy()
    affine[:3, 3] += affine[:3, 1] * (study.shape[1] - 1)
    affine[:3, 1] *= -1
    turned = affine[:, [2, 1, 0, 3]]
    other = Volume(data=study.data[:, :, ::-1].transpose(0, 3, 2, 1), affine_ras=turned)
    labels = model.segment(other).labels_XYZ
    np.testing.assert_array_equal(labels.transpose(2, 1, 0)[:, ::-1], result.labels_XYZ)


def test_studies_segmented_at_once_get_the_masks_they_get_alone(model, phantom_dataset):
    studies = [load_case(phantom_dataset, case)[0] for case in phantom_dataset.cases[:4]]
    alone = [model.segment(study).labels_XYZ for study in studies]
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(model.segment, studies * 3))
    assert not all(np.array_equal(alone[0], labels) for labels in alone[1:])
    for labels, result in zip(alone * 3, at_once, strict=True):
        np.testing.assert_array_equal(result.labels_XYZ, labels)


def test_the_engine_asked_for_is_the_one_used(exported):
    opened = load_model(exported.package, engine="onnxruntime", num_threads=1)
    assert opened.engine.name.startswith("onnxruntime ")
    assert opened.engine_reason == "asked for"


def drift(canary, by):
    return lambda patches: canary.logits_BKXYZ + np.float32(by)


def nan_somewhere(canary):
    logits = canary.logits_BKXYZ.copy()
    logits[0, 0, 0, 0, 0] = np.nan
    return lambda patches: logits


WRONG_ANSWERS = {
    "zeros": (lambda canary: constant_logits(0, 0, 0), "nothing but background"),
    "all background": (lambda canary: constant_logits(10, -10, -10), "nothing but background"),
    "NaN": (lambda canary: constant_logits(np.nan, np.nan, np.nan), "NaN or infinity"),
    "one NaN": (nan_somewhere, "NaN or infinity"),
    "infinite": (lambda canary: constant_logits(np.inf, 0, 0), "NaN or infinity"),
    "drifted": (lambda canary: drift(canary, 0.02), "a largest difference of 0.02 and 100"),
    "swapped classes": (lambda canary: lambda patches: canary.logits_BKXYZ[:, ::-1], "a largest difference"),
    "mirrored": (lambda canary: lambda patches: canary.logits_BKXYZ[..., ::-1, :], "a largest difference"),
    "a class too few": (lambda canary: lambda patches: canary.logits_BKXYZ[:, :2], "logits of the shape"),
    "a patch too many": (lambda canary: lambda p: np.concatenate([canary.logits_BKXYZ] * 2), "logits of the shape"),
    "a smaller patch": (lambda canary: lambda patches: canary.logits_BKXYZ[..., :-1], "logits of the shape"),
    "no batch": (lambda canary: lambda patches: canary.logits_BKXYZ[0], "logits of the shape"),
}


@pytest.mark.parametrize("wrong", WRONG_ANSWERS)
def test_an_engine_that_answers_the_canary_wrongly_is_refused(wrong, model, exported, monkeypatch):
    answer, found = WRONG_ANSWERS[wrong]
    engine = EngineFake(answer(model.package.canary))
    install_only(engine, monkeypatch)
    with pytest.raises(EngineError, match=rf"fake 1\.0: expected the package's canary answer .*, found {found}"):
        load_model(exported.package)
    assert engine.batches == [1]


@pytest.fixture(scope="module")
def precise(in_all_precisions) -> Model:
    return load_model(in_all_precisions.package)


def in_precision(precision, answer) -> EngineFake:
    engine = EngineFake(answer)
    engine.precision = precision
    return engine


LOWER = ("float16", "int8")


@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("wrong", sorted(set(WRONG_ANSWERS) - {"drifted"}))
def test_what_is_wrong_is_refused_in_every_precision(wrong, precision, precise, in_all_precisions, monkeypatch):
    answer, found = WRONG_ANSWERS[wrong]
    engine = in_precision(precision, answer(precise.package.canary))
    with pytest.raises(EngineError, match=rf"expected the package's canary answer .*, found {found}"):
        open_with(engine, in_all_precisions, monkeypatch)


@pytest.mark.parametrize("precision", LOWER)
def test_a_lower_precision_may_drift_by_a_multiple_of_its_exports_and_no_more(
    precision, precise, in_all_precisions, monkeypatch
):
    canary, proven = precise.package.canary, precise.package.artefact(precision).canary
    allowed = SLACK[precision] * proven.max_abs_error
    near, far = drift(canary, 0.9 * allowed), drift(canary, 1.1 * allowed)
    open_with(in_precision(precision, near), in_all_precisions, monkeypatch)
    with pytest.raises(EngineError, match="a largest difference"):
        open_with(in_precision(precision, far), in_all_precisions, monkeypatch)


@pytest.mark.parametrize("precision", LOWER)
def test_a_class_that_is_missed_is_refused_however_small_it_is(precision, precise):
    """In the real canary each class has half a per cent of the voxels at least: fewer than may differ in eight bits."""
    small = precise.package.canary.classes_XYZ.copy()
    small[small == 2] = 0
    small[:2, :2, :2] = 2
    logits = np.stack([small == index for index in range(3)])[None].astype(np.float32)
    canary = replace(precise.package.canary, classes_XYZ=small, logits_BKXYZ=logits)
    missed = logits.copy()
    missed[:, 2] = 0.45
    missed[:, 0, :2, :2, :2] = 0.46
    with pytest.raises(EngineError, match=r"of one class 0\.00"):
        check_canary(in_precision(precision, lambda patches: missed), canary, None)


@pytest.mark.parametrize(
    ("precision", "kind"), [("float32", "openvino"), ("float16", "onnxruntime"), ("int8", "openvino")]
)
def test_each_precision_runs_in_an_engine_made_for_it_and_says_so(precision, kind, in_all_precisions, precise, study):
    opened = load_model(in_all_precisions.package, precision=precision)
    assert (opened.engine.name.split()[0], opened.engine.precision) == (kind, precision)
    result, exact = opened.segment(study), precise.segment(study)
    assert result.precision == precision
    assert result.engine == opened.engine.name + ("" if precision == "float32" else f", {precision}")
    assert (result.labels_XYZ == exact.labels_XYZ).mean() >= 0.99
    assert result.labels_XYZ.any()


def test_on_a_cpu_auto_stays_float32(precise):
    assert precise.engine.precision == "float32"


def test_a_precision_that_the_package_lacks_is_refused(exported):
    with pytest.raises(ConfigError, match=r"--precision: expected auto or one of float32, found 'int8'.*export"):
        load_model(exported.package, precision="int8")


@pytest.mark.parametrize(("engine", "precision"), [("onnxruntime", "int8"), ("openvino", "float16")])
def test_a_precision_that_the_engine_asked_for_does_not_run_is_refused(engine, precision, in_all_precisions):
    with pytest.raises(ConfigError, match="--precision: expected auto or one of float32, "):
        load_model(in_all_precisions.package, engine=engine, precision=precision)


def test_an_engine_within_the_tolerance_is_taken(model):
    engine = EngineFake(drift(model.package.canary, 0.005))
    check_canary(engine, model.package.canary)
    assert engine.batches == [1]


def test_labels_that_differ_are_refused_even_where_the_logits_are_close(model):
    """Ties broken the other way: each logit is nearly right, the classes are not."""
    near = replace(model.package.canary, logits_BKXYZ=model.package.canary.logits_BKXYZ * np.float32(1e-3))
    with pytest.raises(EngineError, match=r"% of the labels"):
        check_canary(EngineFake(constant_logits(0, 0.001, 0)), near)


def fails_after_the_canary(package, later):
    """An engine that was well when it was opened."""
    engine = EngineFake(lambda patches: later(patches) if len(engine.batches) > 1 else package.canary.logits_BKXYZ)
    return engine


def open_with(engine, exported, monkeypatch):
    install_only(engine, monkeypatch)
    return load_model(exported.package)


def test_an_engine_that_begins_to_answer_only_background_is_found_out(model, exported, study, monkeypatch):
    engine = fails_after_the_canary(model.package, constant_logits(10, -10, -10))
    opened = open_with(engine, exported, monkeypatch)
    with pytest.raises(EngineError, match="still answers the package's canary, found nothing but background"):
        opened.segment(study)


def test_under_auto_an_engine_that_answers_wrongly_gives_way_to_the_next(model, exported, monkeypatch, caplog):
    wrong = select.EngineKind(
        open=lambda network, **_: EngineFake(constant_logits(10, -10, -10)), module="numpy", extra="cpu"
    )
    monkeypatch.setattr(select, "_KINDS", {"wrong": wrong, "onnxruntime": select._KINDS["onnxruntime"]})
    opened = load_model(exported.package)
    assert opened.engine.name.startswith("onnxruntime ")
    assert opened.engine_reason.endswith("wrong could not be used")
    assert "onnxruntime is tried next: fake 1.0: expected the package's canary answer" in caplog.text


def test_a_study_without_any_structure_is_no_fault_of_the_engine(model, exported, study, monkeypatch):
    canary = model.package.canary

    def answer(patches):
        asked = patches.shape == canary.patches_BCXYZ.shape and np.array_equal(patches, canary.patches_BCXYZ)
        return canary.logits_BKXYZ if asked else constant_logits(10, -10, -10)(patches)

    result = open_with(EngineFake(answer), exported, monkeypatch).segment(study)
    assert not result.labels_XYZ.any()


def test_a_damaged_package_opens_no_engine(exported, tmp_path, monkeypatch):
    data = bytearray(exported.package.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "p.scnas").write_bytes(data)
    monkeypatch.setattr("scnas_deploy.inference.model.open_engine", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(PackageError):
        load_model(tmp_path / "p.scnas")


def test_a_study_outside_the_limits_is_refused_with_the_figures(model, study):
    with pytest.raises(FingerprintError, match=r"model 'phantom'.*voxel spacing 0\.33 mm along R.*field of view"):
        model.segment(small(study))


def test_a_forced_study_outside_the_limits_is_segmented_and_says_so(model, study):
    result = model.segment(small(study), SegmentOptions(force=True))
    assert result.labels_XYZ.shape == study.shape
    assert any("voxel spacing 0.33 mm along R" in text for text in result.outside_limits)


def test_a_study_of_unknown_orientation_is_refused(model, study):
    with pytest.raises(FingerprintError, match="which way the patient lies"):
        model.segment(replace(study, orientation_known=False))


def test_a_constant_study_is_refused(model, study):
    with pytest.raises(FingerprintError, match="the constant 5"):
        model.segment(replace(study, data=np.full_like(study.data, 5)))


@pytest.mark.parametrize("force", [False, True])
def test_a_wrong_number_of_channels_is_refused_even_by_force(force, model, study):
    with pytest.raises(FormatError, match=r"1 channel\(s\): MRI, found 2"):
        model.segment(replace(study, data=np.repeat(study.data, 2, axis=0)), SegmentOptions(force=force))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_no_number_is_refused_even_by_force(value, force, model, study):
    data = study.data.copy()
    data[0, 3, 4, 5] = value
    with pytest.raises(FormatError, match="expected finite voxels, found 1 NaN or infinite"):
        model.segment(replace(study, data=data), SegmentOptions(force=force))


def test_progress_counts_patches_and_may_stop(model, study):
    class EnoughError(Exception):
        pass

    def stop(done, total):
        assert 0 < done < total
        raise EnoughError

    with pytest.raises(EnoughError):
        model.segment(study, SegmentOptions(progress=stop))
