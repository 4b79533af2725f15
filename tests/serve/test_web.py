"""Health and metrics over HTTP."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress

import pytest

from scnas_deploy.serve import web as module
from scnas_deploy.serve.http import MAX_CONNECTIONS
from scnas_deploy.serve.metrics import StateCollector
from scnas_deploy.serve.settings import WebSettings
from scnas_deploy.serve.web import WebServer

READYZ = b"GET /readyz HTTP/1.1\r\n\r\n"


@pytest.fixture
def troubles():
    return {}


@pytest.fixture
def web(metrics, troubles):
    server = WebServer(WebSettings(host="127.0.0.1", port=0), metrics.registry, lambda: troubles)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_lives(web):
    assert get(f"{web}/livez")[0] == 200


def test_it_is_ready_when_nothing_is_the_matter(web, troubles):
    assert get(f"{web}/readyz")[0] == 200
    troubles["disk"] = "full"
    status, text = get(f"{web}/readyz")
    assert (status, json.loads(text)) == (503, {"disk": "full"})


def test_the_figures_are_there(web, metrics, ledger):
    metrics.registry.register(
        StateCollector(lambda: ledger, free_bytes=lambda: 7, busy_seconds=lambda: 1.0, is_ready=lambda: True)
    )
    metrics.objects_received.inc()
    text = get(f"{web}/metrics")[1]
    for line in (
        "scnas_objects_received_total 1.0",
        "scnas_disk_free_bytes 7.0",
        "scnas_ready 1.0",
        "scnas_ledger_up 1.0",
        'scnas_jobs{queue="segment",state="dead"} 0.0',
        'scnas_oldest_waiting_seconds{queue="deliver"} 0.0',
    ):
        assert line in text.splitlines()


def test_a_ledger_that_is_away_hides_no_other_figure(web, metrics, ledger, tmp_path):
    metrics.registry.register(
        StateCollector(lambda: ledger, free_bytes=lambda: 7, busy_seconds=lambda: 1.0, is_ready=lambda: True)
    )
    ledger.close()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    (tmp_path / "ledger.db").mkdir()
    status, text = get(f"{web}/metrics")
    assert status == 200
    assert "scnas_ledger_up 0.0" in text
    assert "scnas_disk_free_bytes 7.0" in text


def test_nothing_else_is_there(web):
    assert get(f"{web}/../etc/passwd")[0] == 404
    assert get(f"{web}/")[0] == 404


def connected(web, sent=b"GET /livez HTTP/1.1\r\n"):
    connection = socket.create_connection(("127.0.0.1", int(web.rpartition(":")[2])), timeout=10)
    connection.sendall(sent)
    return connection


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def answering():
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_half_requests_take_so_many_threads_and_keep_nobody_out(web):
    with ExitStack() as stack:
        for _ in range(5 * MAX_CONNECTIONS):
            stack.enter_context(connected(web))
        assert get(f"{web}/livez")[0] == 200
        assert answering() <= MAX_CONNECTIONS
    wait_until(lambda: answering() == 0)
    assert get(f"{web}/livez")[0] == 200


def test_one_that_is_busy_does_not_give_way_for_ever(metrics):
    """Whoever waits for a slow answer notices late that he is to end; the next one takes the next oldest's place."""
    release = threading.Event()
    slow = lambda: {"engine": "slow"} if release.wait(20) else {}  # noqa: E731
    server = WebServer(WebSettings(host="127.0.0.1", port=0), metrics.registry, slow)
    server.start()
    web = f"http://127.0.0.1:{server.port}"
    with ExitStack() as stack:
        stack.enter_context(connected(web, b"GET /readyz HTTP/1.0\r\n\r\n"))
        wait_until(lambda: answering() >= 1)
        for _ in range(MAX_CONNECTIONS - 1):
            stack.enter_context(connected(web))
        wait_until(lambda: answering() >= MAX_CONNECTIONS)
        with suppress(OSError):
            get(f"{web}/livez")  # ends the busy one, in vain
        assert [get(f"{web}/livez")[0] for _ in range(3)] == [200] * 3
        release.set()
    server.stop()


def test_a_connection_that_sends_a_little_at_a_time_is_ended(metrics, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_S", 0.3)
    server = WebServer(WebSettings(host="127.0.0.1", port=0), metrics.registry, dict)
    server.start()
    with connected(f"http://127.0.0.1:{server.port}") as connection:

        def is_ended():
            try:
                connection.sendall(b"x")
            except OSError:
                return True
            return False

        wait_until(is_ended)
    server.stop()


def test_requests_that_cannot_be_answered_take_no_more_threads_than_others(metrics):
    going = threading.Event()

    def health():
        going.wait(30)
        return {}

    server = WebServer(WebSettings(host="127.0.0.1", port=0), metrics.registry, health)
    server.start()
    web = f"http://127.0.0.1:{server.port}"
    with ExitStack() as stack:
        asking = [stack.enter_context(connected(web, READYZ)) for _ in range(MAX_CONNECTIONS + 3)]
        assert all(is_closed(each) for each in asking[-3:])
        assert answering() == MAX_CONNECTIONS
        going.set()
    server.stop()


def test_a_page_that_fails_says_no_values_and_the_others_are_there(metrics, caplog, capfd):
    def health():
        raise ValueError("DOE^JANE")

    server = WebServer(WebSettings(host="127.0.0.1", port=0), metrics.registry, health)
    server.start()
    web = f"http://127.0.0.1:{server.port}"
    with connected(web, READYZ) as connection:
        assert is_closed(connection)
    assert get(f"{web}/livez")[0] == 200
    server.stop()
    assert caplog.messages == ["a page failed"]
    assert "DOE" not in caplog.text + repr([vars(record) for record in caplog.records]) + "".join(capfd.readouterr())


def wait_until(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
