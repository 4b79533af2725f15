"""Thousands of broken messages, well framed: the server lives on, and its ledger and spool hold what they held."""

import random
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message

from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from tests.serve.rpc.test_uploads import chunk, header, start

SERVICE = pb.DESCRIPTOR.services_by_name["Segmentation"]
LONGEST = 200
EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


def valid(job: int) -> dict[str, list[list[Message]]]:
    return {
        "Submit": [
            [header(idempotency_key="key", series=["1.2.3"]), start(), chunk()],
            [header(2), start(kind=pb.FILE_KIND_DICOM), chunk(), start(kind=pb.FILE_KIND_DICOM), chunk()],
        ],
        "Watch": [[pb.WatchRequest(job_id=999, cancel_on_end=True)]],
        "Fetch": [[pb.FetchRequest(job_id=job)]],
        "Cancel": [[pb.CancelRequest(job_id=999)]],
        "ListJobs": [[pb.ListJobsRequest(states=[pb.JOB_STATE_DONE], page_size=3, page_token="7")]],
        "ListModels": [[pb.ListModelsRequest()]],
    }


def mutated(dice: random.Random, content: bytes) -> bytes:
    data = bytearray(content or b"\x00")
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(data) or 1)
        change = dice.randrange(4)
        if change == 0 and data:
            data[place % len(data)] ^= 1 << dice.randrange(8)
        elif change == 1:
            data[place:place] = dice.randbytes(dice.randint(1, 8))
        elif change == 2:
            del data[place : place + dice.randint(1, 4)]
        else:
            data[place:place] = data[:place]
    return bytes(data)


def broken(dice: random.Random, messages: list[Message]) -> list[bytes]:
    contents = [message.SerializeToString() for message in messages]
    if dice.random() < 0.4:
        return [dice.randbytes(dice.randint(0, LONGEST)) for _ in contents]
    if dice.random() < 0.3:
        dice.shuffle(contents)
        return contents[: dice.randint(0, len(contents))] * dice.randint(1, 2)
    number = dice.randrange(len(contents))
    contents[number] = mutated(dice, contents[number])
    return contents


def attacks(dice: random.Random, job: int, number: int) -> Iterator[tuple[str, list[bytes]]]:
    samples = valid(job)
    for _ in range(number):
        method = dice.choice(SERVICE.methods)
        yield method.name, broken(dice, dice.choice(samples[method.name]))


def send(channel: grpc.Channel, method: str, contents: list[bytes]) -> grpc.StatusCode:
    call = channel.stream_stream(f"/{SERVICE.full_name}/{method}")(iter(contents), timeout=5)
    try:
        for _ in call:
            pass
    except grpc.RpcError:
        pass
    return call.code()


def check(place, client, study, number: int) -> None:
    kept = client.submit([study]).job
    before = place.ledger.find(kept)
    dice, codes = random.Random(1), {}
    with grpc.insecure_channel(place.target) as channel:
        for method, contents in attacks(dice, kept, number):
            code = send(channel, method, contents)
            codes[code] = codes.get(code, 0) + 1
    assert set(codes) <= EXPECTED, codes
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > number / 10, codes
    assert client.models()
    assert place.ledger.find(kept) == before
    jobs = place.jobs()
    folders = {f"{place.spool.root.name}/uploads/{job.key}" for job in jobs}
    assert {
        f"{place.spool.root.name}/uploads/{path.name}" for path in (place.spool.root / "uploads").iterdir()
    } == folders
    assert all(job.payload["source"] == "grpc" for job in jobs)
    assert {path.name for path in place.spool.root.iterdir()} == {"incoming", "uploads", "results", "models"}


def test_broken_messages_do_no_harm(place, client, study, caplog):
    check(place, client, study, 200)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


@pytest.mark.soak
def test_thousands_of_broken_messages_do_no_harm(place, client, study, caplog):
    check(place, client, study, 5000)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
