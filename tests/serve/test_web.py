"""Health and metrics over HTTP."""

import json
import urllib.error
import urllib.request

import pytest

from scnas_deploy.serve.metrics import StateCollector
from scnas_deploy.serve.settings import WebSettings
from scnas_deploy.serve.web import WebServer


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
