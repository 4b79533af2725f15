"""Keeping an engine busy: the next patches are cut while it computes, and its answers come back in order.

Legend: B batch, C channels, K classes, X Y Z voxels in NIfTI order.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np

from scnas_deploy.errors import EngineError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.sweep import Patch
from scnas_deploy.types import ImageCXYZ, LogitsBKXYZ, LogitsKXYZ, PatchesBCXYZ

Cut = Callable[[Patch], ImageCXYZ | None]
"""Gives a patch's voxels, or None where it is known to be background."""

Answer = tuple[Patch, LogitsKXYZ | None]


def calls_ahead(engine: Engine) -> int:
    """Calls that are under way or wait for the engine, so that it never waits."""
    return engine.concurrency + 1


class Caller:
    """Calls an engine from threads of its own, which stay: some engines prepare themselves for each new thread.

    Args:
        engine: Is called from ``engine.concurrency`` threads.
        batch: Patches of a call.
    """

    def __init__(self, engine: Engine, batch: int) -> None:
        self._engine, self._batch = engine, batch
        self._pool = ThreadPoolExecutor(engine.concurrency, thread_name_prefix="engine")

    def answers(self, patches: Iterable[Patch], cut: Cut) -> Generator[Answer]:
        """Yield every patch with its logits, in the given order.

        Closing the iterator ends the calls that wait; those under way, a batch each, are waited for.

        Args:
            patches: In the order in which they are wanted.
            cut: Gives a patch's voxels.

        Raises:
            EngineError: If the engine fails, or answers with NaN or infinite logits.
        """
        waiting: deque[_Call] = deque()
        try:
            for call in _calls(patches, cut, self._batch):
                call.submit(self._pool, self._engine)
                waiting.append(call)
                if len(waiting) == calls_ahead(self._engine):
                    yield from waiting[0].answers()
                    waiting.popleft()
            while waiting:
                yield from waiting[0].answers()
                waiting.popleft()
        finally:
            wait([call.future for call in waiting if call.future is not None and not call.future.cancel()])


@dataclass(slots=True)
class _Call:
    """Patches that are answered together, and those between them that need no answer."""

    patches: list[tuple[Patch, bool]] = field(default_factory=list)
    """Each with whether the engine computes it."""
    images: list[ImageCXYZ] = field(default_factory=list)
    future: Future[LogitsBKXYZ] | None = None

    def submit(self, pool: ThreadPoolExecutor, engine: Engine) -> None:
        if self.images:
            self.future = pool.submit(_run, engine, np.stack(self.images))
            self.images.clear()

    def answers(self) -> Iterator[Answer]:
        logits = iter(self.future.result() if self.future is not None else ())
        for patch, computed in self.patches:
            yield patch, next(logits) if computed else None


def _calls(patches: Iterable[Patch], cut: Cut, batch: int) -> Iterator[_Call]:
    call = _Call()
    for patch in patches:
        image = cut(patch)
        call.patches.append((patch, image is not None))
        if image is not None:
            call.images.append(image)
        if len(call.images) == batch:
            yield call
            call = _Call()
    if call.patches:
        yield call


def _run(engine: Engine, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
    logits_BKXYZ = engine.run(patches_BCXYZ)
    batch, _, *size = patches_BCXYZ.shape
    if (logits_BKXYZ.shape[0], *logits_BKXYZ.shape[2:]) != (batch, *size):
        raise EngineError(
            engine.name,
            expected=f"an answer to {batch} patch(es) of {size} voxels",
            found=f"logits of the shape {logits_BKXYZ.shape}",
            remedy="Run another engine (--engine) and report the model",
        )
    if not np.isfinite(logits_BKXYZ).all():
        raise EngineError(
            engine.name,
            expected="finite logits",
            found="NaN or infinity",
            remedy="Run another engine or precision (--engine, --precision) and report the model",
        )
    return logits_BKXYZ
