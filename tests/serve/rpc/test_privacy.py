"""Names of patients, planted wherever a client can put them, get into no log, no error and no metadata."""

import logging

import grpc
import pytest

from scnas_deploy.jobs.job import JobState
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.values import Wish
from tests.serve.rpc.test_uploads import chunk, header, start

NAME = "Zebrowski"
PLAIN = {"model": NAME, "idempotency_key": f"{NAME}^Jane", "series": [f"{NAME}.1"]}


@pytest.fixture
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


def said(failure):
    trailing = b" ".join(
        value if isinstance(value, bytes) else value.encode() for _, value in failure.trailing_metadata()
    )
    return f"{failure.code()} {failure.details()} {trailing!r} {failure.debug_error_string()}"


def refusals(client):
    """What is said of calls that are refused, with a name in each of their fields in turn."""
    stub, metadata = client._stub, (("x-patient", NAME), ("traceparent", NAME))
    uploads = [(header(**{field: value}), start(), chunk(NAME.encode())) for field, value in PLAIN.items()]
    uploads += [
        (header(model=f"/{NAME}/{NAME}.scnas"), start(), chunk()),
        (header(idempotency_key=NAME * 100), start(), chunk()),
        (header(), start(sha256=NAME.encode()), chunk()),
        (header(), start(100), chunk(NAME.encode())),
        (header(), chunk(NAME.encode())),
    ]
    calls = [lambda messages=messages: stub.Submit(iter(messages), metadata=metadata) for messages in uploads]
    calls += [
        lambda: stub.ListJobs(pb.ListJobsRequest(page_token=NAME), metadata=metadata),
        lambda: stub.Cancel(pb.CancelRequest(job_id=99), metadata=metadata),
        lambda: list(stub.Fetch(pb.FetchRequest(job_id=99), metadata=metadata)),
        lambda: client._channel.unary_unary(f"/scnas.v1.Segmentation/{NAME}")(NAME.encode(), metadata=metadata),
        lambda: client._channel.unary_unary("/scnas.v1.Segmentation/Cancel")(NAME.encode(), metadata=metadata),
    ]
    for call in calls:
        try:
            call()
        except grpc.RpcError as failure:
            yield said(failure)


def test_no_refusal_says_a_name(place, client, everything_logged):
    told = list(refusals(client))
    assert len(told) >= 11
    for text in told:
        # gRPC itself names a method that there is none of to whoever asked for it.
        assert NAME not in text or "UNIMPLEMENTED" in text
    assert NAME not in everything_logged.text


def test_a_name_in_a_token_or_a_path_is_not_said(place, tokens, everything_logged, study):
    place.serve(insecure=False, tokens=tokens)
    with pytest.raises(grpc.RpcError) as refused:
        place.client(token=NAME)._stub.ListModels(
            pb.ListModelsRequest(), metadata=(("authorization", f"Bearer {NAME}"),)
        )
    assert NAME not in said(refused.value)
    assert NAME not in everything_logged.text


def test_a_study_leaves_no_name_of_its_files_anywhere(place, client, handler, tmp_path, everything_logged):
    place.work(handler)
    path = tmp_path / NAME / f"{NAME}.nii"
    path.parent.mkdir()
    path.write_bytes(b"an image")
    job = client.submit([path], Wish(idempotency_key=NAME)).job
    *_, last = client.watch(job)
    assert last.state is JobState.DONE
    client.fetch(job, tmp_path / "results")
    assert NAME not in repr(place.ledger.find(job))
    assert not [each for each in place.spool.root.rglob("*") if NAME in each.name]
    assert not [each for each in place.spool.root.rglob("*.json") if NAME in each.read_text()]
    assert NAME not in everything_logged.text


def test_an_error_nobody_expected_says_no_more_than_its_class(place, client, monkeypatch, everything_logged):
    def fail(*_):
        raise KeyError(NAME)

    monkeypatch.setattr(place.catalog, "described", fail)
    monkeypatch.setattr(place.ledger, "find", fail)
    for call in (
        lambda: client._stub.ListModels(pb.ListModelsRequest()),
        lambda: list(client._stub.Watch(pb.WatchRequest(job_id=1))),
    ):
        with pytest.raises(grpc.RpcError) as failed:
            call()
        assert failed.value.code() is grpc.StatusCode.INTERNAL
        assert failed.value.details() == "KeyError"
        assert NAME not in said(failed.value)
    assert NAME not in everything_logged.text
    (first, _) = [record for record in everything_logged.records if record.name.startswith("scnas_deploy")]
    assert "KeyError in" in first.scnas["error"]


def test_a_job_whose_payload_is_not_ours_is_nobodys(place, client, study, everything_logged):
    """As one that came by DICOM, whose submitter may have any name."""
    from scnas_deploy.jobs.job import NewJob
    from scnas_deploy.serve.work import DELIVER, SEGMENT

    payload = {"source": "dicom", "submitted_by": "", "model": NAME, "model_digest": "0"}
    place.ledger.enqueue(SEGMENT, [NewJob(key="a", kind=SEGMENT, payload=payload)])
    place.ledger.enqueue(DELIVER, [NewJob(key="a", kind=DELIVER, payload={**payload, "source": "grpc"})])
    assert list(client.jobs()) == []
    for number in (1, 2):
        with pytest.raises(grpc.RpcError) as refused:
            client._stub.Cancel(pb.CancelRequest(job_id=number))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
