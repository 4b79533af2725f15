"""A process of its own for each engine that is measured, so that memory, crashes and hangs are that engine's."""

import multiprocessing
import signal
from typing import Final, TypeVar

from scnas_deploy.errors import EngineError, ScnasError
from scnas_deploy.inference.bench_worker import EngineTask, Opened, Turn, serve

_PATIENCE_SECONDS: Final = 1800.0
"""How long an answer may take; some engines are built for minutes when they are opened."""

_Answer = TypeVar("_Answer", Opened, Turn)


class EngineProcess:
    """Measures one engine in another process.

    Args:
        task: What to measure.
    """

    def __init__(self, task: EngineTask) -> None:
        self._engine = task.engine
        context = multiprocessing.get_context("spawn")  # nothing of this process may count as the engine's
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, task), daemon=True)
        self._process.start()
        theirs.close()

    def opened(self) -> Opened:
        """Wait until the engine is ready.

        Raises:
            ScnasError: As the engine raised it, or EngineError if its process ended or hangs.
        """
        return self._answer(Opened)

    def take_turn(self) -> Turn:
        """Compute patches for a while, and segment the study.

        Raises:
            ScnasError: As the engine raised it, or EngineError if its process ended or hangs.
        """
        try:
            self._connection.send(True)
        except ConnectionError as error:
            raise self._lost() from error
        return self._answer(Turn)

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.join()

    def _answer(self, kind: type[_Answer]) -> _Answer:
        if not self._connection.poll(_PATIENCE_SECONDS):
            raise self._error(f"none after {_PATIENCE_SECONDS:g} s")
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._lost() from error
        if isinstance(answer, ScnasError):
            raise answer
        assert isinstance(answer, kind)
        return answer

    def _lost(self) -> EngineError:
        self._process.join()
        status = self._process.exitcode or 0
        how = f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit status {status}"
        return self._error(f"its process ended with {how}")

    def _error(self, found: str) -> EngineError:
        remedy = "Measure the other engines; report the model and the engine's version"
        return EngineError(self._engine, expected="an answer", found=found, remedy=remedy)
