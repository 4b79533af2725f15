"""Strangers and greedy clients take no places that others need."""

import threading
import time
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from scnas_deploy.errors import UnreachableError
from scnas_deploy.files import sha256_of
from scnas_deploy.serve.rpc import client as client_module
from scnas_deploy.serve.rpc import limits
from scnas_deploy.serve.rpc.limits import Patience, Room
from tests.serve.rpc.conftest import OTHER_TOKEN, TOKEN
from tests.serve.rpc.test_uploads import chunk, header, start, wait_until

CHECK = "/grpc.health.v1.Health/Check"
SERVING = health_pb2.HealthCheckResponse.SERVING
SHOWN = (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(client_module, "_WAITS_S", ())


@pytest.fixture
def two_clients(place, tokens):
    """Of a server with four places."""
    with tokens.open("a") as file:
        file.write(f"other {sha256_of(OTHER_TOKEN.encode())}\n")
    place.serve(insecure=False, tokens=tokens, max_threads=4)
    return place.client(token=TOKEN), place.client(token=OTHER_TOKEN)


@contextmanager
def silent(target, method, number, metadata=()):
    """So many calls that never send their message."""
    over = threading.Event()

    def nothing():
        over.wait(60)
        yield from ()

    with grpc.insecure_channel(target) as channel:
        call = channel.stream_unary(method)
        try:
            yield [call.future(nothing(), metadata=metadata) for _ in range(number)]
        finally:
            over.set()


def health(target):
    with grpc.insecure_channel(target) as channel:
        return HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5).status


def test_strangers_who_ask_for_health_and_send_nothing_keep_nobody_out(place, two_clients):
    with silent(place.target, CHECK, 60) as calls:
        wait_until(lambda: sum(call.done() for call in calls) == 52)
        assert health(place.target) == SERVING
        assert two_clients[0].models()


def test_a_stranger_who_sends_nothing_is_not_waited_for_longer_than_the_bound(place, two_clients, monkeypatch):
    monkeypatch.setattr(limits, "FIRST_S", 0.2)
    with silent(place.target, CHECK, 3) as calls:
        wait_until(lambda: all(call.done() for call in calls))
    assert {call.code() for call in calls} == {grpc.StatusCode.CANCELLED}


@pytest.mark.parametrize("method", ["Submit", "Cancel", "Watch"])
def test_a_call_whose_message_does_not_come_gives_its_place_back(place, two_clients, monkeypatch, method):
    client, _ = two_clients
    monkeypatch.setattr(limits, "FIRST_S", 1.5)
    with silent(place.target, f"/scnas.v1.Segmentation/{method}", 6, SHOWN) as calls:
        wait_until(lambda: sum(call.done() for call in calls) == 4)
        assert not answers(client)
        wait_until(lambda: all(call.done() for call in calls))
        wait_until(lambda: answers(client))


def answers(client):
    try:
        return bool(client.models())
    except UnreachableError:
        return False


def test_an_upload_that_falls_silent_is_ended_and_leaves_nothing(place, client, monkeypatch):
    monkeypatch.setattr(limits, "NEXT_S", 0.2)
    over = threading.Event()

    def messages():
        yield header()
        yield start(6)
        yield chunk()
        over.wait(30)

    call = client._stub.Submit.future(messages())
    wait_until(call.done)
    over.set()
    wait_until(lambda: place.uploads() == [])
    assert place.jobs() == []


def test_a_client_takes_no_more_than_half_of_the_places(two_clients, study):
    greedy, other = two_clients
    job = greedy.submit([study]).job
    watching = [greedy.watch(job) for _ in range(2)]
    for each in watching:
        next(each)
    with pytest.raises(UnreachableError, match="at most 2 calls of a client"):
        greedy.models()
    assert other.models()
    for each in watching:
        each.close()
    wait_until(lambda: answers(greedy))


def test_one_call_more_is_made_again_until_there_is_a_place(place, study, monkeypatch):
    monkeypatch.setattr(client_module, "_WAITS_S", (0.1,) * 100)
    place.serve(max_threads=1)
    client = place.client()
    watching = client.watch(client.submit([study]).job)
    next(watching)
    later = threading.Timer(0.5, watching.close)
    later.start()
    assert client.models()
    later.join()


def test_all_calls_that_are_refused_for_now_are_counted(two_clients, place, study):
    """Far more than there are threads: each is told the same, and nothing else."""
    greedy, _ = two_clients
    job = greedy.submit([study]).job
    watching = [greedy.watch(job) for _ in range(2)]
    for each in watching:
        next(each)
    with silent(place.target, "/scnas.v1.Segmentation/Cancel", 60, SHOWN) as calls:
        wait_until(lambda: all(call.done() for call in calls))
    assert {call.code() for call in calls} == {grpc.StatusCode.UNAVAILABLE}
    for each in watching:
        each.close()


def test_nobody_who_is_known_is_counted_with_another():
    room = Room(4)
    with room.place("one"), room.place("one"), room.place("other"):
        with pytest.raises(UnreachableError, match="of a client"), room.place("one"):
            pass
        with room.place("third"), pytest.raises(UnreachableError, match="at most 4"), room.place("fourth"):
            pass
    assert not room._taken


def test_where_nobody_is_asked_all_places_are_everybodys():
    room = Room(2)
    with room.place(""), room.place(""), pytest.raises(UnreachableError), room.place(""):
        pass


def test_a_client_that_sends_again_and_again_is_never_ended(monkeypatch):
    """However long it takes as a whole: each message counts for itself."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    patience = Patience()

    class Context:
        cancelled = False

        def cancel(self):
            self.cancelled = True

    def requests(step_s):
        for _ in range(5):
            now[0] += step_s
            patience.end_late()
            yield b"message"

    steady, late = Context(), Context()
    assert len(list(patience.messages(requests(limits.FIRST_S - 1), steady))) == 5
    assert not steady.cancelled
    list(patience.messages(requests(limits.FIRST_S + 1), late))
    assert late.cancelled
