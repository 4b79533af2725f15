"""Uploads that lie, break off or ask for what there is none of leave nothing behind."""

import hashlib
import os
import threading
import time
from pathlib import Path

import grpc
import pytest

from scnas_deploy.errors import CapacityError, ConfigError, FormatError, OutputError, ScnasError, SpoolFullError
from scnas_deploy.serve.rpc.statuses import error_of
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.values import Wish

NIFTI, DICOM = pb.FILE_KIND_NIFTI, pb.FILE_KIND_DICOM


def header(num_files=1, **fields):
    return pb.SubmitRequest(header=pb.SubmitHeader(num_files=num_files, **fields))


def start(size=3, kind=NIFTI, sha256=b""):
    return pb.SubmitRequest(file=pb.FileStart(size=size, kind=kind, sha256=sha256))


def chunk(content=b"abc"):
    return pb.SubmitRequest(chunk=content)


@pytest.fixture
def send(place, client):
    """Sends messages as they are; what fails leaves nothing."""

    def sent(*messages):
        try:
            return client._stub.Submit(iter(messages))
        except grpc.RpcError as failure:
            error = error_of(failure, "server")
        assert place.uploads() == []
        assert place.jobs() == []
        raise error

    return sent


def test_the_messages_of_an_upload_in_order_make_a_job(place, send):
    sha256 = hashlib.sha256(b"abcdef").digest()
    assert send(header(), start(6, sha256=sha256), chunk(), chunk(b"def")).job_id
    (job,) = place.jobs()
    assert place.spool.path(f"{job.payload['folder']}/0000.nii").read_bytes() == b"abcdef"


def test_each_kind_has_its_suffix(place, send):
    send(header(2), start(), chunk(), start(kind=pb.FILE_KIND_NIFTI_GZ), chunk())
    send(header(), start(kind=DICOM), chunk())
    assert [job.payload["files"] for job in place.jobs()] == [["0000.dcm"], ["0000.nii", "0001.nii.gz"]]
    assert [job.payload["formats"] for job in place.jobs()] == [["dicom-seg", "sr"], ["nifti"]]


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (chunk(),),
        (start(), chunk()),
        (pb.SubmitRequest(),),
        (header(),),
        (header(), header()),
        (header(), chunk()),
        (header(), start()),
        (header(), start(), chunk(b"ab")),
        (header(), start(), chunk(b"abcd")),
        (header(), start(), chunk(), chunk(b"d")),
        (header(), start(), chunk(b""), chunk()),
        (header(), start(), pb.SubmitRequest()),
        (header(), start(), chunk(), header()),
        (header(), start(0)),
        (header(), start(-1)),
        (header(), start(kind=0), chunk()),
        (header(), start(kind=77), chunk()),
        (header(), start(sha256=b"short"), chunk()),
        (header(), start(sha256=bytes(32)), chunk()),
        (header(2), start(), chunk()),
        (header(1), start(), chunk(), start(), chunk()),
        (header(2), start(kind=NIFTI), chunk(), start(kind=DICOM), chunk()),
    ],
)
def test_an_upload_that_is_not_what_it_says_is_refused(send, messages):
    with pytest.raises(FormatError):
        send(*messages)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_files": 0},
        {"num_files": 20_001},
        {"num_files": -1},
        {"model": "../../etc/passwd"},
        {"model": "/etc/passwd"},
        {"model": "hippocampus.scnas"},
        {"model": "x" * 10_000},
        {"series": ["../../1.2.3"]},
        {"series": ["1.2.3/4"]},
        {"series": ["1"] * 65},
        {"formats": [77]},
        {"formats": [pb.FORMAT_SR]},
        {"formats": [pb.FORMAT_UNSPECIFIED]},
        {"priority": 77},
        {"allow": [77]},
        {"idempotency_key": "x" * 257},
        {"time_limit": {"seconds": -1}},
        {"time_limit": {"seconds": 0}},
    ],
    ids=str,
)
def test_a_header_that_asks_for_what_there_is_none_of_is_refused(send, fields):
    with pytest.raises(ConfigError) as refused:
        send(header(**fields), start(), chunk())
    assert "etc" not in refused.value.redacted


def test_corrections_that_are_allowed_a_million_times_are_allowed_once(place, send):
    send(header(allow=[pb.CORRECTION_SHEAR_TILT] * 10**6), start(), chunk())
    (job,) = place.jobs()
    assert job.payload["allow"] == ["shear-tilt"]


def test_dicom_forms_of_nifti_files_are_refused(send):
    with pytest.raises(ConfigError):
        send(header(formats=[pb.FORMAT_DICOM_SEG]), start(), chunk())


@pytest.mark.parametrize("key", ["../../../key", "/etc/key", ".", "..", "a\x00b", "ключ", "-rf"])
def test_a_key_never_becomes_a_path(place, send, key):
    send(header(idempotency_key=key), start(), chunk())
    (job,) = place.jobs()
    assert sorted(path.relative_to(place.spool.root).as_posix() for path in place.uploads()) == [
        f"uploads/{job.key}",
        f"uploads/{job.key}/0000.nii",
        f"uploads/{job.key}/upload.json",
    ]
    assert set(job.key) <= set("0123456789abcdef")


def test_a_message_that_is_too_large_is_refused(send):
    with pytest.raises(CapacityError):
        send(header(), start(8 * 2**20), chunk(bytes(5 * 2**20)))


def test_a_study_that_is_too_large_is_refused_as_soon_as_it_says_so(place):
    place.serve(max_upload_bytes=10)
    with pytest.raises(CapacityError):
        submit(place, header(2), start(6), chunk(b"abcdef"), start(5))
    assert place.uploads() == []


def submit(place, *messages):
    with pytest.raises(grpc.RpcError) as failed:
        place.client()._stub.Submit(iter(messages))
    raise error_of(failed.value, "server")


def test_nothing_is_taken_where_the_disk_would_be_too_full(place):
    place.min_free_bytes = place.spool.free_bytes() - 10**9
    place.serve()
    with pytest.raises(SpoolFullError):
        submit(place, header(), start(2 * 10**9))
    assert place.uploads() == []


def test_uploads_that_do_not_fit_together_are_not_taken_together(place):
    place.min_free_bytes = place.spool.free_bytes() - 3 * 10**9
    place.serve()
    begun, ended = threading.Event(), threading.Event()

    def large():
        yield header()
        yield start(2 * 10**9)
        yield chunk()
        begun.set()
        ended.wait(30)

    first = place.client()._stub.Submit.future(large())
    assert begun.wait(5)
    wait_until(lambda: any(path.suffix == ".nii" for path in place.uploads()))
    with pytest.raises(SpoolFullError):
        submit(place, header(), start(2 * 10**9))
    ended.set()
    wait_until(lambda: first.done() and not place.uploads())
    with pytest.raises(FormatError, match="2000000000 bytes"):
        submit(place, header(), start(2 * 10**9), chunk())


def test_a_disk_that_is_full_is_said(place, small_disk, catalog):
    from scnas_deploy.serve.spool import Spool

    place.spool = Spool(small_disk)
    place.serve()
    with pytest.raises((OutputError, SpoolFullError)) as refused:
        submit(place, header(), start(10**6), *(chunk(bytes(10**5)) for _ in range(10)))
    assert isinstance(refused.value, ScnasError)
    assert place.uploads() == []
    assert place.jobs() == []


def endless(begun, going):
    yield header()
    yield start(10**9)
    yield chunk(bytes(2**20))
    begun.set()
    while not going.wait(0.01):
        yield chunk(bytes(2**16))


@pytest.mark.parametrize("end", ["cancel", "deadline", "connection"])
def test_an_upload_that_breaks_off_leaves_nothing(place, client, end):
    other = place.client()
    begun, ended = threading.Event(), threading.Event()
    call = other._stub.Submit.future(endless(begun, ended), timeout=1.0 if end == "deadline" else None)
    assert begun.wait(5)
    while not place.uploads():
        time.sleep(0.01)
    if end == "cancel":
        call.cancel()
    elif end == "connection":
        other.close()
    wait_until(lambda: call.done() and not place.uploads())
    ended.set()
    assert place.jobs() == []
    assert client.models()


def wait_until(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_that_is_gone_when_its_turn_comes_breaks_the_upload_off(place, client, study, tmp_path, monkeypatch):
    """The second file of two: what has come by then would make a study too."""
    second = tmp_path / "second.nii"
    second.write_bytes(b"12345")
    from scnas_deploy.serve.rpc import client as module

    monkeypatch.setattr(module, "_WAITS_S", ())

    def progress(sent, total):
        second.unlink(missing_ok=True)

    with pytest.raises(FormatError, match="gone"):
        client.submit([study, second], Wish(), progress=progress)
    wait_until(lambda: not place.uploads())
    assert place.jobs() == []


def test_an_absent_ledger_is_said_before_the_study_goes_up(place, study, monkeypatch):
    from scnas_deploy.errors import LedgerError
    from scnas_deploy.serve.rpc import client as module

    monkeypatch.setattr(module, "_WAITS_S", ())
    place.serve()

    def away(*_):
        raise LedgerError("the ledger", expected="an answer", found="none", remedy="Start it")

    monkeypatch.setattr(place.ledger, "named", away)
    with pytest.raises(LedgerError):
        place.client().submit([study])
    assert place.uploads() == []


def test_a_submission_is_repeated_until_the_ledger_is_back_and_is_one_job(place, client, study, monkeypatch):
    from scnas_deploy.errors import LedgerError
    from scnas_deploy.serve.rpc import client as module

    monkeypatch.setattr(module, "_WAITS_S", (0.01, 0.01, 0.01))
    enqueue, failures = place.ledger.enqueue, iter(range(2))

    def flaky(*arguments):
        if next(failures, None) is not None:
            raise LedgerError("the ledger", expected="an answer", found="none", remedy="Start it")
        enqueue(*arguments)

    monkeypatch.setattr(place.ledger, "enqueue", flaky)
    assert client.submit([study]).job
    assert len(place.jobs()) == 1
    assert len(list((place.spool.root / "uploads").iterdir())) == 1


def test_the_same_key_at_the_same_time_is_one_job(place, client, study):
    """Many at once: whoever is last to move its upload finds the first's and compares."""
    answers, wish = [], Wish(idempotency_key="key")
    threads = [threading.Thread(target=lambda: answers.append(client.submit([study], wish).job)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert len(answers) == 8
    assert len(place.jobs()) == 1
    assert len(list((place.spool.root / "uploads").iterdir())) == 1


def test_all_of_a_study_is_on_the_disk_before_it_gets_its_name(place, client, study, monkeypatch):
    synced, real = [], os.fsync

    def record(descriptor):
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)  # noqa: PTH115
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    place.catalog.pin(None)
    synced.clear()
    client.submit([study, study])
    assert synced == ["0000.nii", "0001.nii", "upload.json", "study", "uploads"]
