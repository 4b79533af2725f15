"""A finished job's study in the viewer: read again, its mask from the result, in one page that asks for nothing."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from scnas_deploy.data.dicom.choice import SeriesChoice
from scnas_deploy.data.study import load_study
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import CapacityError, ScnasError
from scnas_deploy.inference.package import open_package
from scnas_deploy.jobs.job import Job, JobState
from scnas_deploy.pages.viewer import Layer, Scene, viewer_page
from scnas_deploy.serve.likely import likely_bytes
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.page.answers import VIEWER_POLICY, Answer, said
from scnas_deploy.serve.page.jobs import study_answer, study_work
from scnas_deploy.serve.page.masks import read_mask
from scnas_deploy.serve.page.sights import Sights
from scnas_deploy.serve.work import StudyAnswer, StudyWork

_LOG: Final = logger("serve.page")
_PATIENCE_S: Final = 20.0
"""Until somebody is told to come again, where another study is being opened or studies in work take all memory."""
_LAST: Final = -1
"""Priority: whatever is to be segmented goes first."""
_FACTOR: Final = 8
"""Bytes that a page takes while it is made, for each byte of voxels: the study turned, packed and written as text."""
_READ_FACTOR: Final = 2
_GAPS: Final = "resample-gaps"
_MOST_IN_HAND: Final = 4
"""Pages that are made or on their way: a slow reader's page stays in memory until he has it."""
_BUSY: Final = said(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Busy",
    "Other studies are being opened or segmented, and take all there is. Try again in a moment.",
    ("Retry-After", "10"),
)


class _BusyError(Exception):
    """Nobody opens a study at this moment."""


class Viewer:
    """Opens one study at a time, in memory that studies in work leave.

    Args:
        sights: Spool, settings and admission.
        patience_s: How long somebody waits.
    """

    def __init__(self, sights: Sights, *, patience_s: float = _PATIENCE_S) -> None:
        self._sights, self._patience_s = sights, patience_s
        self._one_at_a_time = threading.Lock()
        self._in_hand = threading.BoundedSemaphore(_MOST_IN_HAND)

    def open(self, job: Job, name: str) -> Answer:
        """Answer with the page of a job that is done, or say why there is none.

        Args:
            job: One that segments.
            name: Of who looks; is logged.
        """
        work, answer = study_work(job), study_answer(job)
        if work is None or answer is None:
            known = (
                "its result is not one that this version can read" if job.state == JobState.DONE else "it has no result"
            )
            return said(HTTPStatus.CONFLICT, "Nothing to look at", f"Job {job.id} is {job.state}: {known}.")
        if not self._in_hand.acquire(timeout=self._patience_s):
            return _BUSY
        try:
            return replace(self._answer(job, work, answer, name), after=self._in_hand.release)
        except BaseException:
            self._in_hand.release()
            raise

    def _answer(self, job: Job, work: StudyWork, answer: StudyAnswer, name: str) -> Answer:
        try:
            content = self._made(job.id, work, answer)
        except _BusyError:
            return _BUSY
        except ScnasError as error:
            return said(HTTPStatus.UNPROCESSABLE_ENTITY, f"Job {job.id} cannot be shown", error.redacted)
        event(_LOG, logging.INFO, "a study was looked at", job=job.id, by=name)
        return Answer(content, policy=VIEWER_POLICY)

    def _made(self, job_id: int, work: StudyWork, answer: StudyAnswer) -> bytes:
        deadline = time.monotonic() + self._patience_s
        if not self._one_at_a_time.acquire(timeout=self._patience_s):
            raise _BusyError
        try:
            paths = [self._sights.spool.path(f"{work.folder}/{name}") for name in work.files]
            taken = _READ_FACTOR * likely_bytes(paths)
            check, admission = _until(deadline), self._sights.admission
            with admission.study(taken, check, priority=_LAST, passing=True) as reservation:
                plan = open_package(self._sights.spool.model(work.model_digest)).plan
                how = SeriesChoice(named=work.series, allow=work.allow, force=work.force)
                volume = load_study(paths, plan, how)
                self._require_room(volume)
                reservation.grow(_FACTOR * volume.data.nbytes, check)
                labels_XYZ = read_mask(answer, work.formats, self._sights.spool, volume, plan.labels)
                layer = Layer(name="Prediction", labels_XYZ=labels_XYZ, labels=plan.labels)
                facts = _facts(answer, volume)
                scene = Scene(title=f"Job {job_id}", volume=volume, layers=(layer,), facts=facts)
                return viewer_page(scene).encode()
        finally:
            self._one_at_a_time.release()

    def _require_room(self, volume: Volume) -> None:
        taken, limit = _FACTOR * volume.data.nbytes, self._sights.admission.limit
        if limit is not None and taken > limit:
            raise CapacityError(
                "the study",
                expected=f"one that is shown within {limit / 1e9:.2f} GB",
                found=f"one that takes {taken / 1e9:.2f} GB",
                remedy="Look at it in the PACS, or with `scnas view` on a machine with more memory",
            )


def _facts(answer: StudyAnswer, volume: Volume) -> tuple[tuple[str, str], ...]:
    facts = [("Model", f"{answer.model}, digest {answer.model_digest[:12]}"), ("Engine", answer.engine)]
    if volume.dicom is not None and _GAPS in volume.dicom.all_corrections:
        facts.append(("Mask", "on the planes that were taken; none between them"))
    return tuple(facts)


def _until(deadline: float) -> Callable[[], None]:
    def check() -> None:
        if time.monotonic() > deadline:
            raise _BusyError

    return check
