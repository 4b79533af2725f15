"""Which page a path leads to."""

import re
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

from scnas_deploy.errors import LedgerError
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.page.answers import ROOM, Answer, said, shown
from scnas_deploy.serve.page.details import job_details
from scnas_deploy.serve.page.jobs import KINDS, is_ours, job_row
from scnas_deploy.serve.page.overview import Watch
from scnas_deploy.serve.page.sights import Sights
from scnas_deploy.serve.page.view import Viewer

SCRIPT: Final = "server.js"
_JOBS_A_PAGE: Final = 50
_FRESH_S: Final = 2.0
"""That the first page is shown to all before it is made anew."""
_MOST_QUERY: Final = 200
_JOB: Final = re.compile(r"/jobs/([0-9]{1,18})(/view)?")


class Routes:
    """Answers what may be asked for; may be used by several threads.

    Args:
        sights: What is looked at.
    """

    def __init__(self, sights: Sights) -> None:
        self._sights = sights
        self._viewer = Viewer(sights)
        watch = Watch(sights)
        self._overview = _Fresh(lambda: shown("overview.html.j2", now=watch.look(), **_LIVE))
        script = files(ROOM).joinpath("assets", SCRIPT).read_bytes()
        self._script = Answer(script, kind="text/javascript; charset=utf-8")

    def __call__(self, target: str, name: str) -> Answer:
        """Answer a request.

        Args:
            target: Path and query, as a client has written them.
            name: Of who asks.

        Raises:
            LedgerError: If the ledger cannot be reached.
        """
        path, _, query = target.partition("?")
        if path == "/":
            return self._overview()
        if path == f"/{SCRIPT}":
            return self._script
        if path == "/jobs":
            return self._jobs(query)
        matched = _JOB.fullmatch(path)
        if matched is None:
            return _nothing()
        return self._view(int(matched[1]), name) if matched[2] else self._job(int(matched[1]))

    def _ledger(self) -> Ledger:
        ledger = self._sights.ledger()
        if ledger is None:
            raise LedgerError(
                "the ledger",
                expected="one that was opened",
                found="none yet",
                remedy="Wait until the server has started",
            )
        return ledger

    def _jobs(self, query: str) -> Answer:
        asked = parse_qs(query[:_MOST_QUERY])
        kind = next((each for each in asked.get("kind", ()) if each in KINDS), None)
        state = next((JobState(each) for each in asked.get("state", ()) if each in set(JobState)), None)
        before = next((int(each) for each in asked.get("before", ()) if re.fullmatch("[0-9]{1,18}", each)), None)
        found = self._ledger().listed(
            queues=[kind] if kind else list(KINDS),
            states=[state] if state else None,
            limit=_JOBS_A_PAGE + 1,
            before=before,
        )
        now, page = time.time(), [job for job in found[:_JOBS_A_PAGE] if is_ours(job)]
        return shown(
            "jobs.html.j2",
            rows=[job_row(job, self._sights.running, now) for job in page],
            kinds=KINDS,
            kind=kind or "",
            states=[each.value for each in JobState],
            state=state.value if state else "",
            is_first=before is None,
            older=page[-1].id if len(found) > _JOBS_A_PAGE and page else None,
            **_LIVE,
        )

    def _job(self, job_id: int) -> Answer:
        details = job_details(self._ledger(), self._sights, job_id)
        return _nothing() if details is None else shown("job.html.j2", job=details, **_LIVE)

    def _view(self, job_id: int, name: str) -> Answer:
        job = self._ledger().find(job_id)
        return _nothing() if job is None or not is_ours(job) else self._viewer.open(job, name)


class _Fresh:
    """Gives an answer that is made anew when it has become old, by one thread at a time."""

    def __init__(self, make: Callable[[], Answer]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made_at, self._answer = float("-inf"), Answer(b"")

    def __call__(self) -> Answer:
        with self._lock:
            if time.monotonic() > self._made_at + _FRESH_S:
                self._answer, self._made_at = self._make(), time.monotonic()
            return self._answer


_LIVE: Final = {"live": True}


def _nothing() -> Answer:
    return said(HTTPStatus.NOT_FOUND, "No such page", "There is nothing here, or not any more.")
