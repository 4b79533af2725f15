"""A client of a segmentation server: studies go up, results come down, errors are those of this package."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import grpc

from scnas_deploy.errors import ScnasError
from scnas_deploy.jobs.job import JobState
from scnas_deploy.serve.catalog import ModelDescription
from scnas_deploy.serve.rpc.certificates import channel_credentials
from scnas_deploy.serve.rpc.receiving import Fetched, receive_result
from scnas_deploy.serve.rpc.sending import Sender, outgoing
from scnas_deploy.serve.rpc.statuses import error_of, is_worth_a_repetition
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.v1.segmentation_pb2_grpc import SegmentationStub
from scnas_deploy.serve.rpc.values import (
    NO_WISH,
    ListedJob,
    Standing,
    Submitted,
    Wish,
    header_of,
    listed_of,
    standing_of,
)
from scnas_deploy.serve.rpc.words import STATES, ours
from scnas_deploy.serve.settings import ClientTls

Answer = TypeVar("Answer")

_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Before each repetition of a call that did not get through."""
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 4 * 2**20),
    ("grpc.max_send_message_length", 4 * 2**20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)
_PAGE: Final = 500


class Client:
    """A connection to a server, made when it is first used; may be used by several threads.

    All its methods raise UnreachableError where the server does not answer, AccessError where it does not let us in,
    and what the server itself met with, as if that had happened here.

    Args:
        target: ``HOST:PORT``.
        tls: Whom to trust and what to show; None for a connection in the clear.
        token: Shown with each call.

    Raises:
        ConfigError: If a certificate cannot be read.
    """

    def __init__(self, target: str, *, tls: ClientTls | None = None, token: str | None = None) -> None:
        self._target = target
        self._metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        if tls is None:
            self._channel = grpc.insecure_channel(target, _OPTIONS)
        else:
            self._channel = grpc.secure_channel(target, channel_credentials(tls), _OPTIONS)
        self._stub: Any = SegmentationStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and its calls."""
        self._channel.close()

    def submit(
        self,
        paths: Sequence[Path],
        wish: Wish = NO_WISH,
        *,
        progress: Callable[[int, int], None] = lambda _sent, _total: None,
    ) -> Submitted:
        """Send a study. Where a connection breaks it is sent again, which makes no second job.

        Args:
            paths: NIfTI files in the order of the model's channels; or DICOM files, folders and zip archives.
            wish: What is wanted of it.
            progress: Told the bytes sent and in all.

        Raises:
            FormatError: If there is nothing to send.
            InputError: If a file cannot be read.
            RefusedError: If the key was used before, for another study or with other wishes.
            SpoolFullError: If the server takes nothing more for now.
        """
        files = outgoing(paths)
        header = header_of(wish, len(files))

        def send() -> Submitted:
            sender = Sender(header, files, digests=wish.digests, progress=progress)
            call = self._stub.Submit.future(sender.messages(), metadata=self._metadata)
            try:
                with self._translated(sender):
                    answer = call.result()
            finally:
                call.cancel()
            return Submitted(job=answer.job_id, known=answer.known, state=ours(STATES, answer.state, "state"))

        return _repeatedly(send)

    def watch(self, job: int, *, cancel_on_end: bool = False) -> Iterator[Standing]:
        """Yield how a job stands, at once and whenever it changes, until it is finished.

        Args:
            job: Its number.
            cancel_on_end: Have the server cancel it when the iterator is closed, or we are gone, before it is finished.

        Raises:
            NotFoundError: If it is none of ours.
        """
        waits = iter(_WAITS_S)
        while True:
            call = self._stub.Watch(pb.WatchRequest(job_id=job, cancel_on_end=cancel_on_end), metadata=self._metadata)
            try:
                with self._translated():
                    for told in call:
                        waits = iter(_WAITS_S)
                        yield standing_of(told)
            except ScnasError as error:
                wait_s = next(waits, None)
                if wait_s is None or not is_worth_a_repetition(error):
                    raise
                time.sleep(wait_s)
            else:
                return
            finally:
                call.cancel()

    def fetch(self, job: int, folder: Path) -> Fetched:
        """Bring a result's files, all of them whole or none.

        Args:
            job: Its number.
            folder: Where to; made where there is none, files of the same names are replaced.

        Raises:
            JobError: If it is not done.
            NotFoundError: If it is none of ours, or its result has been removed.
            FormatError: If what came is not what was announced.
            OutputError: If it cannot be written.
        """

        def bring() -> Fetched:
            call = self._stub.Fetch(pb.FetchRequest(job_id=job), metadata=self._metadata)
            try:
                with self._translated():
                    return receive_result(call, folder)
            finally:
                call.cancel()

        return _repeatedly(bring)

    def cancel(self, job: int) -> JobState:
        """End a job; returns where it stands now, since a finished one stays as it is.

        Raises:
            NotFoundError: If it is none of ours.
        """
        answer = self._ask(self._stub.Cancel, pb.CancelRequest(job_id=job))
        return ours(STATES, answer.state, "state")

    def jobs(self, *, states: Sequence[JobState] = ()) -> Iterator[ListedJob]:
        """Yield our jobs, newest first.

        Args:
            states: Only those in one of these; none for all.
        """
        token = ""
        while True:
            request = pb.ListJobsRequest(states=[STATES[each] for each in states], page_size=_PAGE, page_token=token)
            page = self._ask(self._stub.ListJobs, request)
            yield from map(listed_of, page.jobs)
            token = page.next_page_token
            if not token:
                return

    def models(self) -> tuple[ModelDescription, ...]:
        """Return the server's models."""
        answer = self._ask(self._stub.ListModels, pb.ListModelsRequest())
        return tuple(
            ModelDescription(
                name=model.name,
                digest=model.digest,
                is_default=model.is_default,
                labels=tuple(model.labels),
                channels=tuple(model.channels),
                dice=model.dice if model.HasField("dice") else None,
                precisions=tuple(model.precisions),
                problem=model.problem,
            )
            for model in answer.models
        )

    def _ask(self, method: Callable[..., Any], request: Any) -> Any:
        def ask() -> Any:
            with self._translated():
                return method(request, metadata=self._metadata)

        return _repeatedly(ask)

    @contextmanager
    def _translated(self, sender: Sender | None = None) -> Iterator[None]:
        """Raise what a failed call stands for; what went wrong on our side comes first."""
        try:
            yield
        except grpc.RpcError as failure:
            if sender is not None and sender.error is not None:
                raise sender.error from failure
            raise error_of(failure, self._target) from failure


def _repeatedly(action: Callable[[], Answer]) -> Answer:
    """Do something, and again while the server cannot be reached or asks to come again."""
    for wait_s in _WAITS_S:
        try:
            return action()
        except ScnasError as error:
            if not is_worth_a_repetition(error):
                raise
        time.sleep(wait_s)
    return action()
