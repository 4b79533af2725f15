"""Segmenting the study of one job: what is written, what is refused, what is left alone."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.errors import FingerprintError, FormatError, InputError, PackageError, StaleLeaseError
from scnas_deploy.files import sha256_of_file
from scnas_deploy.inference.model import load_model
from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.jobs.studies import StudyHandler, StudyPayload, StudySettings, stamp_of
from scnas_deploy.jobs.worker import Attempt, Halt


@pytest.fixture(scope="module")
def settings(exported):
    return StudySettings(model=exported.package, model_digest=load_model(exported.package).package.digest)


@pytest.fixture(scope="module")
def handler(settings):
    return StudyHandler(settings)


@pytest.fixture
def scan(phantom_dataset, tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(phantom_dataset.cases[0].images[0].read_bytes())
    return path


@pytest.fixture
def output(tmp_path):
    return tmp_path / "masks" / "scan_seg.nii.gz"


def payload_of(scan, output, written=()):
    return StudyPayload(studies=(str(scan),), stamps=(stamp_of(scan),), output=str(output), written=written)


def job_of(payload, result=None, *, key="k", state=JobState.RUNNING):
    content = payload if isinstance(payload, dict) else payload.model_dump(mode="json", by_alias=True)
    counts = {"priority": 0, "attempt": 1, "given_back": 0, "max_attempts": 3}
    names = {"id": 1, "queue": "q", "key": key, "kind": "study", "worker": "w"}
    return Job(
        **names, **counts, enqueued_at=1.0, changed_at=2.0, payload=content, state=state, result=result, error=None
    )


def attempt(payload, *, result=None, check=lambda: None, record=lambda _: None, known=()):
    return Attempt(job_of(payload, result), check, record, lambda _field, _value: list(known))


def test_the_mask_is_the_models_and_the_answer_is_told(handler, scan, output, exported):
    recorded = []
    answer = handler(
        attempt(payload_of(scan, output), record=lambda result: recorded.append((result, output.exists())))
    )
    expected = load_model(exported.package).segment(load_nifti(scan))
    np.testing.assert_array_equal(np.asanyarray(nib.load(output).dataobj), expected.labels_XYZ)
    assert answer["volumes_ml"] == expected.volumes_ml()
    assert (answer["model_digest"], answer["engine"], answer["kept"]) == (
        expected.model_digest,
        expected.engine,
        False,
    )
    assert answer["seconds"] > 0
    digest = sha256_of_file(output)
    assert answer["written"] == [digest]
    assert recorded == [({"output": str(output), "written": [digest]}, False)]  # known before it is there


def test_a_study_that_has_changed_since_is_refused(handler, scan, output):
    payload = payload_of(scan, output)
    os.utime(scan, ns=(1, 1))
    with pytest.raises(FormatError, match="as it was when the batch began") as caught:
        handler(attempt(payload))
    assert scan.name not in caught.value.redacted
    assert not output.exists()


def test_a_study_that_is_not_there_is_refused(handler, tmp_path, output):
    with pytest.raises(FormatError, match="no such file"):
        handler(attempt(payload_of(tmp_path / "none.nii", output)))


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_study_that_cannot_be_looked_at_just_now_is_no_missing_one(scan, monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, "says the system")

    monkeypatch.setattr(Path, "stat", fail)
    with pytest.raises(InputError):
        stamp_of(scan)


def test_the_stamp_of_what_is_not_there_is_none(scan):
    assert stamp_of(scan.parent / "none") is None
    assert stamp_of(scan / "below a file") is None


def test_a_study_outside_the_limits_is_refused_or_forced_and_said(settings, handler, tmp_path, output):
    scan = tmp_path / "large.nii.gz"
    voxels = np.random.default_rng(0).normal(size=(90, 30, 26)).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), scan)
    with pytest.raises(FingerprintError):
        handler(attempt(payload_of(scan, output)))
    forced = StudyHandler(replace(settings, force=True))(attempt(payload_of(scan, output)))
    assert "field of view 90 mm" in forced["outside_limits"][0]


def test_what_somebody_else_has_put_there_is_left_alone(handler, scan, output):
    output.parent.mkdir()
    output.write_text("corrected by hand")
    answer = handler(attempt(payload_of(scan, output)))
    assert (answer["kept"], answer["volumes_ml"]) == (True, {})
    assert output.read_text() == "corrected by hand"


def test_what_is_put_there_meanwhile_is_left_alone(handler, scan, output):
    answer = handler(attempt(payload_of(scan, output), record=lambda _: output.write_text("corrected by hand")))
    assert answer["kept"]
    assert output.read_text() == "corrected by hand"
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize("known_by", ["payload", "record"])
def test_what_an_earlier_job_or_attempt_wrote_is_replaced(handler, scan, output, known_by):
    output.parent.mkdir()
    output.write_text("an earlier mask of ours")
    digests = (sha256_of_file(output),)
    written, result = (digests, None) if known_by == "payload" else ((), {"written": list(digests)})
    answer = handler(attempt(payload_of(scan, output, written), result=result))
    assert not answer["kept"]
    made = sha256_of_file(output)
    assert answer["written"] == sorted({made, *(digests if known_by == "record" else ())})
    assert made not in digests


def answer_of(output, **figures):
    """What a job answers that has made the mask that lies there."""
    told = {"schema": 1, "output": str(output), "written": [sha256_of_file(output)], "kept": False, "seconds": 1.5}
    return {**told, "engine": "e", "model_digest": "d", **figures}


def test_what_an_overlapping_batch_has_made_of_the_study_is_the_answer(handler, scan, output):
    output.parent.mkdir()
    output.write_text("a mask of ours")
    done = job_of(payload_of(scan, output), answer_of(output), state=JobState.DONE)
    assert handler(attempt(payload_of(scan, output), known=[done])) == done.result
    assert output.read_text() == "a mask of ours"


def test_what_an_overlapping_batch_makes_meanwhile_is_the_answer(handler, scan, output):
    known = []

    def overtaken(_):
        output.write_text("a mask of ours")
        known.append(job_of(payload_of(scan, output), answer_of(output), state=JobState.DONE))

    told = Attempt(job_of(payload_of(scan, output)), lambda: None, overtaken, lambda *_: known)
    assert handler(told) == known[0].result
    assert output.read_text() == "a mask of ours"


@pytest.mark.parametrize(
    "other",
    [
        {"key": "other settings", "state": JobState.DONE},
        {"state": JobState.RUNNING},
        {"state": JobState.DONE, "kept": True},
        {"state": JobState.DONE, "stamps": ((1, 1),)},
    ],
)
def test_what_any_job_has_written_for_the_study_is_replaced(handler, scan, output, other):
    output.parent.mkdir()
    output.write_text("a mask of ours")
    result = answer_of(output, kept=other.pop("kept", False))
    earlier = payload_of(scan, output).model_copy(
        update={"stamps": other.pop("stamps", payload_of(scan, output).stamps)}
    )
    answer = handler(attempt(payload_of(scan, output), known=[job_of(earlier, result, **other)]))
    assert not answer["kept"]
    assert answer["written"] == [sha256_of_file(output)] != result["written"]


def test_what_a_job_has_written_for_another_study_is_left_alone(handler, scan, output, tmp_path):
    output.parent.mkdir()
    output.write_text("another study's mask")
    other = job_of(payload_of(tmp_path / "other.nii", output), answer_of(output), state=JobState.DONE)
    assert handler(attempt(payload_of(scan, output), known=[other]))["kept"]
    assert output.read_text() == "another study's mask"


def test_a_worker_that_loses_the_job_after_its_record_writes_nothing(handler, scan, output):
    recorded = []

    def check():
        if recorded:
            raise Halt

    with pytest.raises(Halt):
        handler(attempt(payload_of(scan, output), check=check, record=recorded.append))
    assert list(output.parent.iterdir()) == []


def test_a_worker_that_has_lost_the_job_writes_nothing(handler, scan, output):
    def refuse(_):
        raise StaleLeaseError("job 1", expected="its lease", found="another's", remedy="Leave it")

    output.parent.mkdir()
    with pytest.raises(StaleLeaseError):
        handler(attempt(payload_of(scan, output), record=refuse))
    assert list(output.parent.iterdir()) == []


def test_it_stops_between_two_patches(handler, scan, output):
    checks = []

    def check():
        checks.append(None)
        if len(checks) == 3:
            raise Halt

    with pytest.raises(Halt):
        handler(attempt(payload_of(scan, output), check=check))
    assert not output.exists()


def test_a_job_of_another_version_is_refused(handler, scan, output):
    payload = payload_of(scan, output).model_dump(mode="json", by_alias=True)
    with pytest.raises(FormatError, match="schema 9"):
        handler(attempt({**payload, "schema": 9}))


def test_another_model_than_that_of_the_batch_is_refused(settings):
    with pytest.raises(PackageError, match="the model that the batch began with"):
        StudyHandler(replace(settings, model_digest="0" * 64))
