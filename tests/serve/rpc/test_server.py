"""The server itself: how much it takes at a time, and how it ends."""

import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from scnas_deploy.errors import ConfigError, UnreachableError
from scnas_deploy.serve.rpc import client as client_module
from scnas_deploy.serve.rpc.server import RpcServer
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.settings import GrpcSettings, Tls
from tests.serve.rpc.test_uploads import chunk, header, start, wait_until


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(client_module, "_WAITS_S", ())


def test_calls_beyond_the_limit_are_refused_and_health_is_still_answered(place, study):
    place.serve(max_threads=2)
    client = place.client()
    job = client.submit([study]).job
    watching = [client.watch(job) for _ in range(2)]
    for each in watching:
        next(each)
    with pytest.raises(UnreachableError, match="one more"):
        client.models()
    with grpc.insecure_channel(place.target) as channel:
        answer = HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for each in watching:
        each.close()
    wait_until(lambda: answers(client))


def answers(client):
    try:
        return bool(client.models())
    except UnreachableError:
        return False


def test_an_upload_under_way_is_taken_to_its_end_while_the_server_stops(place):
    server = place.serve()
    begun, going = threading.Event(), threading.Event()

    def messages():
        yield header()
        yield start(6)
        yield chunk(b"abc")
        begun.set()
        going.wait(10)
        yield chunk(b"def")

    call = place.client()._stub.Submit.future(messages())
    assert begun.wait(5)
    wait_until(lambda: any(path.suffix == ".nii" for path in place.uploads()))
    stopping = threading.Thread(target=server.stop, args=(10.0,))
    stopping.start()
    time.sleep(0.2)
    with pytest.raises(UnreachableError):
        place.client().models()
    going.set()
    assert call.result().job_id
    stopping.join(10)
    assert not stopping.is_alive()
    assert len(place.jobs()) == 1


def test_an_upload_that_takes_longer_than_the_grace_is_broken_and_leaves_nothing(place):
    server = place.serve()
    begun, ended = threading.Event(), threading.Event()

    def messages():
        yield header()
        yield start(6)
        begun.set()
        ended.wait(10)

    call = place.client()._stub.Submit.future(messages())
    assert begun.wait(5)
    wait_until(place.uploads)
    server.stop(0.1)
    assert place.uploads() == []
    ended.set()
    assert isinstance(call.exception(), grpc.RpcError)


def test_watchers_are_sent_away_when_the_server_stops(place, study):
    server = place.serve()
    client = place.client()
    watching = client.watch(client.submit([study]).job)
    next(watching)
    started = threading.Thread(target=server.stop, args=(30.0,))
    started.start()
    with pytest.raises(UnreachableError, match="ends"):
        list(watching)
    started.join(10)
    assert not started.is_alive()


def test_a_watcher_comes_again_to_the_next_server(place, study, monkeypatch):
    monkeypatch.setattr(client_module, "_WAITS_S", (0.2,) * 20)
    server = place.serve()
    client = place.client()
    job = client.submit([study]).job
    watching = client.watch(job, cancel_on_end=True)
    next(watching)
    server.stop(5.0)
    place.serve(port=server.port)
    place.ledger.cancel(job, "a test")
    assert [each.state for each in watching][-1] == "cancelled"


def test_a_port_that_is_taken_is_refused(place):
    place.serve()
    with pytest.raises(ConfigError):
        place.serve(port=place.server.port)


def test_a_certificate_that_is_missing_is_refused(place, tmp_path):
    with pytest.raises(ConfigError):
        place.serve(tls=Tls(certificate=tmp_path / "none.pem", key=tmp_path / "none.key"))


def test_what_is_no_message_of_the_call_is_an_error_of_the_callers(place, client):
    for method in ("Cancel", "ListJobs"):
        with pytest.raises(grpc.RpcError) as refused:
            client._channel.unary_unary(f"/scnas.v1.Segmentation/{method}")(b"\xff\xff\xff")
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stream_where_one_message_belongs_does_no_harm(place, client):
    call = client._channel.stream_unary("/scnas.v1.Segmentation/Cancel")
    with pytest.raises(grpc.RpcError):
        call(iter([]))
    with pytest.raises(grpc.RpcError):
        call(iter([pb.CancelRequest(job_id=1).SerializeToString()] * 3))
    assert client.models()


def test_a_server_that_was_never_started_can_be_stopped(place):
    place.serve()
    settings = GrpcSettings(host="127.0.0.1", port=place.server.port, insecure=True)
    second = RpcServer(settings, *place.parts)
    with pytest.raises(ConfigError):
        second.start()
    second.stop(1.0)
    RpcServer(settings, *place.parts).stop(1.0)
