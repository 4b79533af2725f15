"""Who is let in to look, what may be asked for, and with which headers it is answered."""

import random
import re
import socket
import ssl
import urllib.parse
from http import HTTPStatus

import pytest

from scnas_deploy.errors import ConfigError
from scnas_deploy.files import sha256_of
from scnas_deploy.jobs.job import NewJob
from scnas_deploy.serve.http import BoundedServer
from scnas_deploy.serve.page.answers import said
from scnas_deploy.serve.page.door import FORGIVEN_AFTER_S, MAX_WRONG, WrongTokens
from scnas_deploy.serve.page.routes import Routes
from scnas_deploy.serve.page.server import PageServer
from scnas_deploy.serve.settings import PageSettings
from tests.serve.page.conftest import OTHER_TOKEN, TOKEN, basic
from tests.serve.rpc.certificates import make_authority

PATHS = ("/", "/jobs", "/jobs/1", "/jobs/1/view", "/server.js", "/nothing")


def test_nothing_is_shown_to_who_shows_no_token(busy, tokens, ask):
    url = busy.serve(tokens=tokens)
    for path in PATHS:
        status, headers, content = ask(url, path)
        assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="scnas", charset="UTF-8"')
        assert b"hippocampus" not in content
        assert b"Job 1" not in content


WRONG = (
    *("", "Basic", "Bearer", "Bearer ", f"bearer {TOKEN}x", f"Bearer {sha256_of(TOKEN.encode())}", TOKEN),
    *(f"Digest {TOKEN}", "Basic ****", "Basic " + "A" * 5000, basic("", TOKEN), basic("other", TOKEN)),
    *(basic("radiologist", ""), basic("radiologist", OTHER_TOKEN), basic("RADIOLOGIST", TOKEN), "Basic /w=="),
)


def test_something_else_than_a_token_is_refused(busy, tokens, ask, monkeypatch):
    monkeypatch.setattr(WrongTokens, "are_too_many", lambda *_: False)
    url = busy.serve(tokens=tokens)
    assert [ask(url, Authorization=shown)[0] for shown in WRONG] == [401] * len(WRONG)


def test_who_shows_a_token_is_let_in(busy, tokens, ask):
    url = busy.serve(tokens=tokens)
    for shown in (f"Bearer {TOKEN}", f"bearer {TOKEN}", basic("radiologist", TOKEN), basic("other", OTHER_TOKEN)):
        status, _, content = ask(url, Authorization=shown)
        assert status == 200
        assert b"hippocampus" in content


def test_an_address_that_guesses_is_not_listened_to_for_a_while(place, tokens, ask):
    url = place.serve(tokens=tokens)
    assert [ask(url, Authorization=f"Bearer {n}")[0] for n in range(MAX_WRONG)] == [401] * MAX_WRONG
    status, headers, _ = ask(url, Authorization=f"Bearer {TOKEN}")
    assert (status, headers["Retry-After"]) == (429, "60")
    assert ask(url)[0] == 401


def test_whoever_was_let_in_before_is_kept_in_whatever_others_behind_his_address_show(place, tokens, ask):
    url = place.serve(tokens=tokens)
    assert ask(url, Authorization=f"Bearer {TOKEN}")[0] == 200
    for number in range(MAX_WRONG + 1):
        ask(url, Authorization=f"Bearer {number}")
    assert ask(url, Authorization="Bearer wrong")[0] == 429
    assert ask(url, Authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_page_of_another_site_gets_nothing_and_its_links_may_be_followed(place, tokens, ask):
    url = place.serve(tokens=tokens)
    told = {"Authorization": f"Bearer {TOKEN}", "Sec-Fetch-Site": "cross-site"}
    assert ask(url, **told, **{"Sec-Fetch-Dest": "image"})[0] == 403
    assert ask(url, **told, **{"Sec-Fetch-Dest": "document"})[0] == 200


def test_whoever_came_with_a_certificate_has_its_name(place, authority, ask, monkeypatch):
    names = []
    monkeypatch.setattr(Routes, "__call__", lambda _, path, name: names.append(name) or said(HTTPStatus.OK, "a", "b"))
    url = place.serve(tls=authority.server(), insecure=False)
    ask(url, context=client_context(authority.client("radiology")))
    assert names == ["radiology"]


def test_wrong_tokens_are_forgiven_after_a_time_and_few_addresses_are_kept():
    now = [0.0]
    wrong = WrongTokens(lambda: now[0])
    for _ in range(MAX_WRONG):
        assert not wrong.are_too_many("10.0.0.1")
        wrong.add("10.0.0.1")
    assert wrong.are_too_many("10.0.0.1")
    assert not wrong.are_too_many("10.0.0.2")
    now[0] += FORGIVEN_AFTER_S + 1
    assert not wrong.are_too_many("10.0.0.1")
    for number in range(5000):
        wrong.add(str(number))
    assert len(wrong._times) <= 1000


@pytest.fixture
def authority(tmp_path):
    return make_authority(tmp_path / "authority")


def client_context(told):
    context = ssl.create_default_context(cafile=told.ca)
    if told.certificate:
        context.load_cert_chain(told.certificate, told.key)
    return context


def test_a_certificate_lets_in_and_none_does_not(place, authority, ask, tmp_path, caplog):
    url = place.serve(tls=authority.server(), insecure=False)
    status, _, _ = ask(url, context=client_context(authority.client("radiology")))
    assert status == 200
    foreign = make_authority(tmp_path / "foreign")
    for told in (
        authority.client("x").model_copy(update={"certificate": None, "key": None}),
        foreign.client("y", trusts=authority),
    ):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(url, context=client_context(told))
    assert caplog.messages == []


def test_with_tls_and_tokens_both_are_asked_for(place, authority, tokens, ask):
    url = place.serve(tls=authority.server(), tokens=tokens)
    context = client_context(authority.client("radiology"))
    assert ask(url, context=context)[0] == 401
    assert ask(url, context=context, Authorization=f"Bearer {TOKEN}")[0] == 200


def test_who_makes_no_handshake_keeps_nobody_out(place, authority, ask):
    url = place.serve(tls=authority.server(), insecure=False)
    port = urllib.parse.urlsplit(url).port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    assert ask(url, context=client_context(authority.client("radiology")))[0] == 200
    for each in silent:
        each.close()


def test_a_name_of_somebody_else_leads_to_nothing_where_everybody_is_let_in(place, ask):
    """As a page of theirs would come by, whose name was made to lead here."""
    url = place.serve(names=("seg.hospital.org",))
    for host in ("evil.example.org", "localhost.evil.org", "127.0.0.1.evil.org", "", "seg.hospital.org.evil.org"):
        assert ask(url, Host=host)[0] == 421
    for host in ("127.0.0.1:8443", "localhost", "LOCALHOST:1", "[::1]:8443", "seg.hospital.org", "seg.hospital.org:80"):
        assert ask(url, Host=host)[0] == 200


def test_nothing_can_be_changed(busy, ask):
    url = busy.serve()
    before = [(job.id, job.state, job.changed_at) for job in busy.ledger.listed(limit=1000)]
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND", "X"):
        for path in ("/", "/jobs/1"):
            status, headers, content = ask(url, path, method=method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD")
            assert b"hippocampus" not in content
    assert [(job.id, job.state, job.changed_at) for job in busy.ledger.listed(limit=1000)] == before


def test_head_says_what_get_would(busy, ask):
    url = busy.serve()
    status, headers, content = ask(url, "/jobs/1", method="HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) > 1000


def test_every_answer_has_its_headers(busy, ask):
    url = busy.serve()
    for path in (*PATHS, "/jobs?state=<script>"):
        _, headers, _ = ask(url, path)
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert headers["Set-Cookie"] is None
        assert headers["Access-Control-Allow-Origin"] is None
        assert "Python" not in headers["Server"]
        assert headers["Strict-Transport-Security"] is None


NOWHERE = (
    *("/jobs/0", "/jobs/99999999", "/jobs/999999999999999999", "/jobs/9999999999999999999999", "/jobs/-1", "/jobs/1.0"),
    *("/jobs/", "/jobs/1/", "/jobs/1/view/", "/jobs/%D9%A3", "/%6aobs", "/..", "/../etc/passwd", "/server.js/x"),
    *("/templates/frame.html.j2", "/jobs/1%2fview", "http://127.0.0.1/jobs", "/jobs/1\\view", "*"),
)
SENSELESS = (
    *("state=wrong", "state=", "kind=batch", "before=x", "before=-1", "before=1&before=2", "before=" + "9" * 40),
    *("state=" + "queued&state=" * 4000, "%00%ff", "a=b&&&=;", "state=%3Cscript%3E", "kind=segment%27%20OR%201=1"),
)


def test_other_paths_lead_nowhere(busy, ask):
    url = busy.serve()
    assert [ask(url, path)[0] for path in NOWHERE] == [404] * len(NOWHERE)


def test_queries_that_make_no_sense_are_no_harm(busy, ask):
    url = busy.serve()
    for query in SENSELESS:
        status, _, content = ask(url, f"/jobs?{query}")
        assert status == 200
        assert b"<script>" not in content


def test_jobs_of_others_are_not_shown(busy, ask):
    """The queue of a batch has the names of files in it, which may be those of patients."""
    url = busy.serve()
    busy.ledger.enqueue("batch", [NewJob(key="k", kind="study", payload={"path": "/data/DOE_JANE.nii.gz"})])
    job_id = busy.ledger.listed(limit=1)[0].id
    assert ask(url, f"/jobs/{job_id}")[0] == ask(url, f"/jobs/{job_id}/view")[0] == 404
    assert all(b"DOE_JANE" not in ask(url, path)[2] for path in ("/", "/jobs", "/jobs?state=queued"))


def test_requests_that_are_none_are_answered_without_being_repeated(busy):
    url = busy.serve()
    port, draw = urllib.parse.urlsplit(url).port, random.Random(4)
    lines = [
        b"GET\r\n\r\n",
        b"<script>alert(1)</script>\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\nAuthorization: Basic \xff\r\n\r\n",
        *(bytes(draw.randrange(256) for _ in range(draw.randrange(1, 200))) + b"\r\n\r\n" for _ in range(40)),
    ]
    for line in lines:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b"Traceback" not in answer
        assert b"<script>alert" not in answer
        assert re.match(rb"HTTP/1\.0 4\d\d|<!DOCTYPE|$|HTTP/1.0 505", answer), answer[:100]


def test_a_page_that_fails_says_no_values(place, ask, caplog, monkeypatch):
    url = place.serve()

    def fail():
        raise ValueError("DOE^JANE")

    monkeypatch.setattr(type(place.sights.spool), "free_bytes", lambda _: fail())
    status, _, content = ask(url)
    assert status == 500
    assert b"DOE" not in content
    assert caplog.messages == ["a page failed"]
    assert "DOE" not in caplog.text + repr([vars(record) for record in caplog.records])


def test_a_ledger_that_is_away_is_said(busy, ask, tmp_path):
    url = busy.serve()
    busy.ledger.close()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    (tmp_path / "ledger.db").mkdir()
    status, _, content = ask(url)
    assert status == 200
    assert b"The ledger does not answer" in content
    assert ask(url, "/jobs")[0] == ask(url, "/jobs/1")[0] == 503


def test_an_address_that_is_taken_is_an_error(place):
    url = place.serve()
    with pytest.raises(ConfigError, match="address to listen at"):
        PageServer(PageSettings(host="127.0.0.1", port=urllib.parse.urlsplit(url).port, insecure=True), lambda *_: None)
    assert BoundedServer.allow_reuse_address


def test_settings_have_to_say_who_is_let_in():
    with pytest.raises(ValueError, match="insecure"):
        PageSettings()
