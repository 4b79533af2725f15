"""Every call, over a real connection."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from scnas_deploy.errors import ConfigError, FormatError, JobError, NotFoundError, RefusedError
from scnas_deploy.jobs.job import JobState
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.rpc.values import Wish
from scnas_deploy.serve.work import PRIORITIES, StudyWork
from tests.serve.conftest import MODEL
from tests.serve.rpc.test_uploads import wait_until


def work_of(place, number):
    return StudyWork.model_validate(place.ledger.find(number).payload)


def finished(client, job):
    *_, last = client.watch(job)
    return last


def test_a_study_goes_up_and_its_result_comes_down(place, client, handler, study, tmp_path):
    place.work(handler)
    submitted = client.submit([study])
    assert not submitted.known
    assert finished(client, submitted.job).state is JobState.DONE
    fetched = client.fetch(submitted.job, tmp_path / "results")
    ((form, path),) = fetched.files
    assert (form, path) == (Format.NIFTI, tmp_path / "results" / "0000.nii")
    assert path.read_bytes() == study.read_bytes()
    assert fetched.volumes_ml == {"front": 1.5}
    assert (fetched.model, fetched.engine, fetched.notes) == (MODEL, "none", ("a note",))
    assert (fetched.seconds, fetched.engine_seconds) == (2.0, 1.0)
    assert fetched.model_digest == place.catalog.pin(MODEL).digest
    assert [each.name for each in (tmp_path / "results").iterdir()] == ["0000.nii"]


def test_what_is_wished_is_what_the_job_is_told(place, client, study):
    wish = Wish(
        model=MODEL,
        formats=(Format.NIFTI, Format.PREVIEW),
        priority="archive",
        series=("1.2.3", "1.2.4"),
        allow=("shear-tilt",),
        force=True,
        time_limit_s=60.5,
    )
    job = place.ledger.find(client.submit([study, study], wish).job)
    work = StudyWork.model_validate(job.payload)
    assert (work.source, work.submitted_by, work.model) == ("grpc", "", MODEL)
    assert (work.formats, work.series, work.allow, work.force) == (wish.formats, wish.series, wish.allow, True)
    assert work.files == ("0000.nii", "0001.nii")
    assert work.model_digest == place.catalog.pin(MODEL).digest
    assert work.expires_at == pytest.approx(datetime.now(UTC).timestamp() + 60.5, abs=30)
    assert (job.priority, job.max_attempts) == (PRIORITIES["archive"], 3)
    assert place.spool.path(f"{work.folder}/0001.nii").read_bytes() == study.read_bytes()
    assert work.folder == f"uploads/{job.key}"
    assert len(job.key) == 64


def test_without_a_wish_it_is_clinical_and_nifti_of_nifti(place, client, study):
    job = place.ledger.find(client.submit([study]).job)
    assert job.priority == PRIORITIES["clinical"]
    assert StudyWork.model_validate(job.payload).formats == (Format.NIFTI,)
    assert StudyWork.model_validate(job.payload).expires_at is None


def test_two_submissions_are_two_jobs(client, study):
    assert client.submit([study]).job != client.submit([study]).job


def test_the_same_key_is_the_same_job(place, client, study):
    wish = Wish(idempotency_key="a key")
    first, second = client.submit([study], wish), client.submit([study], wish)
    assert (second.job, second.known) == (first.job, True)
    assert len(place.jobs()) == 1
    assert {path.name for path in place.uploads()} == {place.jobs()[0].key, "0000.nii", "upload.json"}


def test_a_key_of_a_finished_job_stays_its_own(place, client, handler, study):
    place.work(handler)
    wish = Wish(idempotency_key="a key")
    job = client.submit([study], wish).job
    finished(client, job)
    again = client.submit([study], wish)
    assert (again.job, again.known, again.state) == (job, True, JobState.DONE)


def test_a_key_with_another_study_or_other_wishes_is_refused(place, client, study, tmp_path):
    wish = Wish(idempotency_key="a key")
    job = client.submit([study], wish).job
    told = place.ledger.find(job).payload
    changed = tmp_path / "other.nii"
    changed.write_bytes(study.read_bytes()[:-1] + b"!")
    for paths, wishes in (
        ([changed], wish),
        ([study, study], wish),
        ([study], Wish(idempotency_key="a key", force=True)),
    ):
        with pytest.raises(RefusedError):
            client.submit(paths, wishes)
    assert place.ledger.find(job).payload == told
    assert len(place.jobs()) == 1


def test_a_key_whose_job_was_never_made_is_taken_up(place, client, study, monkeypatch):
    """As after a server that was killed between the upload's last step and the job's first."""
    wish = Wish(idempotency_key="a key")
    enqueue = place.ledger.enqueue
    monkeypatch.setattr(place.ledger, "enqueue", lambda *_: None)
    with pytest.raises(NotFoundError):
        client.submit([study], wish)
    monkeypatch.setattr(place.ledger, "enqueue", enqueue)
    submitted = client.submit([study], wish)
    assert not submitted.known
    assert len(place.jobs()) == 1


def test_progress_of_a_job_in_this_process_is_told(place, client, handler, study):
    check_progress(place, client, handler, study)


def test_progress_of_a_job_on_another_machine_is_told(place, client, handler, study):
    handler.in_process = False
    check_progress(place, client, handler, study)


def check_progress(place, client, handler, study):
    handler.num_patches, handler.wait_s = 4, 0.4
    job = client.submit([study]).job
    told = []
    for standing in client.watch(job):
        if not told:
            assert (standing.state, standing.stage) == (JobState.QUEUED, "waiting")
            place.work(handler)
        told.append(standing)
    fractions = [each.fraction for each in told if each.stage == "segmenting"]
    assert fractions == sorted(set(fractions))
    assert len(fractions) >= 3
    assert all(each.patches_per_s == 7.0 for each in told if each.stage == "segmenting")
    assert (told[-1].state, told[-1].stage, told[-1].fraction) == (JobState.DONE, "finished", 1.0)


def test_a_job_that_fails_says_why(place, client, study):
    def fail(attempt):
        raise FormatError("DOE^JANE", expected="an image", found="noise", remedy="Send an image")

    place.work(fail)
    job = client.submit([study]).job
    last = finished(client, job)
    assert (last.state, last.stage) == (JobState.FAILED, None)
    assert last.error == "expected an image, found noise. Send an image."
    with pytest.raises(JobError, match="found noise"):
        client.fetch(job, study.parent / "nowhere")
    assert not (study.parent / "nowhere").exists()


def test_a_result_cannot_be_fetched_before_it_is_there(client, study, tmp_path):
    with pytest.raises(JobError):
        client.fetch(client.submit([study]).job, tmp_path / "results")


def test_a_result_that_was_removed_is_not_found(place, client, handler, study, tmp_path):
    place.work(handler)
    job = client.submit([study]).job
    finished(client, job)
    place.spool.remove(place.spool.path(place.ledger.find(job).result["folder"]))
    with pytest.raises(NotFoundError):
        client.fetch(job, tmp_path / "results")
    assert list((tmp_path / "results").iterdir()) == []


def test_a_waiting_job_is_cancelled(place, client, study):
    job = client.submit([study]).job
    assert client.cancel(job) is JobState.CANCELLED
    assert finished(client, job).state is JobState.CANCELLED
    assert client.cancel(job) is JobState.CANCELLED


def test_a_running_job_is_cancelled_within_a_patch(place, client, handler, study):
    handler.num_patches, handler.wait_s = 1000, 0.02
    place.work(handler)
    job = client.submit([study]).job
    assert handler.begun.wait(10)
    assert client.cancel(job) is JobState.CANCELLED
    patches = handler.patches
    wait_until(lambda: place.running.progress(job) is None)
    assert handler.patches <= patches + 1
    assert finished(client, job).state is JobState.CANCELLED


def test_a_finished_job_cannot_be_cancelled(place, client, handler, study):
    place.work(handler)
    job = client.submit([study]).job
    finished(client, job)
    assert client.cancel(job) is JobState.DONE


@pytest.mark.parametrize("number", [1, 10**15, -1, 0])
def test_a_job_that_is_not_there_is_not_found(client, number, tmp_path):
    for ask in (client.cancel, lambda job: list(client.watch(job)), lambda job: client.fetch(job, tmp_path)):
        with pytest.raises(NotFoundError):
            ask(number)


def test_jobs_are_listed_newest_first_and_by_state(place, client, study):
    numbers = [client.submit([study]).job for _ in range(3)]
    client.cancel(numbers[1])
    listed = list(client.jobs())
    assert [each.job for each in listed] == numbers[::-1]
    assert [each.job for each in client.jobs(states=[JobState.CANCELLED])] == [numbers[1]]
    assert (listed[0].state, listed[0].stage, listed[0].model) == (JobState.QUEUED, "waiting", MODEL)
    assert abs(listed[0].enqueued_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_pages_hold_all_jobs_once(place, client, study, monkeypatch):
    numbers = [client.submit([study]).job for _ in range(5)]
    for size in (1, 2, 5):
        monkeypatch.setattr("scnas_deploy.serve.rpc.client._PAGE", size)
        assert [each.job for each in client.jobs()] == numbers[::-1]


def test_a_page_token_is_a_token(client):
    from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb

    for token in ("1 or 1=1", "9" * 30, "-1", "²"):
        with pytest.raises(ConfigError):
            client._ask(client._stub.ListJobs, pb.ListJobsRequest(page_token=token))


def test_models_are_listed(place, client):
    (model,) = client.models()
    assert model.name == MODEL
    assert model.is_default
    assert model.digest == place.catalog.pin(MODEL).digest
    assert model.labels
    assert model.dice is not None
    assert model.problem == ""


def test_a_model_that_is_not_installed_is_refused_before_the_study_goes_up(place, client, study):
    with pytest.raises(ConfigError):
        client.submit([study], Wish(model="another"))
    assert place.uploads() == []


def test_the_last_watcher_that_goes_takes_the_job_with_it_where_it_said_so(place, client, handler, study):
    handler.num_patches, handler.wait_s = 1000, 0.02
    place.work(handler)
    job = client.submit([study]).job
    kept = client.watch(job)
    next(kept)
    kept.close()
    assert handler.begun.wait(10)
    watching = client.watch(job, cancel_on_end=True)
    next(watching)
    assert place.ledger.find(job).state is JobState.RUNNING
    watching.close()
    wait_until(lambda: place.running.progress(job) is None)
    assert finished(client, job).state is JobState.CANCELLED


def test_a_watcher_whose_time_is_over_takes_the_job_with_it(place, client, study):
    import grpc

    from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb

    job = client.submit([study]).job
    with pytest.raises(grpc.RpcError) as failed:
        list(client._stub.Watch(pb.WatchRequest(job_id=job, cancel_on_end=True), timeout=0.5))
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert finished(client, job).state is JobState.CANCELLED


def test_a_watcher_that_loses_its_connection_takes_the_job_with_it(place, client, study):
    job = client.submit([study]).job
    other = place.client()
    watching = other.watch(job, cancel_on_end=True)
    next(watching)
    other.close()
    assert finished(client, job).state is JobState.CANCELLED


@pytest.mark.parametrize("grace_s", [0.0, 5.0])
def test_a_server_that_stops_cancels_nothing(place, client, study, grace_s):
    job = client.submit([study]).job
    watching = client.watch(job, cancel_on_end=True)
    next(watching)
    ended = threading.Thread(target=place.server.stop, args=(grace_s,))
    ended.start()
    ended.join(5.0)
    assert not ended.is_alive()
    assert place.ledger.find(job).state is JobState.QUEUED
