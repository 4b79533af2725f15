"""Pages shown on this machine: reached by who knows the address, and by nobody else."""

import http.client
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from scnas_deploy.cli import showing
from scnas_deploy.cli.showing import HTML, PageServer, show
from scnas_deploy.errors import DataError

PAGES = {"": lambda: (HTML, b"<p>one"), "data.json": lambda: ("application/json", b"[1]")}


@pytest.fixture
def serving():
    """Serves pages in a thread."""
    servers = []

    def start(pages) -> PageServer:
        server = PageServer(pages)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def asked(server: PageServer, path: str, *, host: str | None = None, method: str = "GET") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    return connection.getresponse()


def test_pages_lie_below_an_address_that_nobody_guesses(serving):
    one, other = serving(PAGES), serving(PAGES)
    assert one.address.startswith(f"http://127.0.0.1:{one.server_port}/")
    assert len(one.prefix) > 20
    assert one.prefix != other.prefix
    with urllib.request.urlopen(one.address) as answer:
        assert answer.read() == b"<p>one"
        assert answer.headers["Content-Type"] == HTML
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with urllib.request.urlopen(one.address + "data.json?now=1") as answer:
        assert answer.read() == b"[1]"


@pytest.mark.parametrize(
    "path", ["/", "/data.json", "/x/", "/{}/", "{prefix}other", "{prefix}../data.json", "{almost}"]
)
def test_all_other_paths_are_not_found(serving, path):
    server = serving(PAGES)
    asked_for = path.replace("{prefix}", server.prefix).replace("{almost}", server.prefix[:-2] + "./")
    answer = asked(server, asked_for)
    assert answer.status == 404
    assert server.prefix.strip("/") not in answer.read().decode()


def test_a_foreign_name_for_this_machine_is_refused(serving):
    server = serving(PAGES)
    assert asked(server, server.prefix, host=f"127.0.0.1:{server.server_port}").status == 200
    for host in ("evil.example", f"localhost:{server.server_port}", "127.0.0.1", ""):
        assert asked(server, server.prefix, host=host).status == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_reading_is_answered(serving, method):
    server = serving(PAGES)
    assert asked(server, server.prefix, method=method).status == 501


def test_a_page_is_made_anew_and_a_failure_is_one_line(serving, capsys):
    count = iter(range(9))

    def make():
        if next(count) == 1:
            raise DataError("it", expected="a page", found="none", remedy="Wait")
        return HTML, b"made"

    server = serving({"": make})
    assert [asked(server, server.prefix).status for _ in range(3)] == [200, 500, 200]
    said = capsys.readouterr().err.splitlines()
    assert said == ["A page could not be made: it: expected a page, found none. Wait."]


@contextmanager
def interrupted_at_once():
    flag = threading.Event()
    flag.set()
    yield flag


def test_showing_prints_the_address_opens_the_browser_and_ends(monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(showing.webbrowser, "open", lambda url: opened.append(url) or True)
    monkeypatch.setattr(showing, "interrupt_flag", interrupted_at_once)
    show(PAGES, browser=True)
    assert capsys.readouterr().out.splitlines() == opened
    show(PAGES, browser=False)
    assert len(opened) == 1
