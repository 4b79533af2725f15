"""Warm models: loaded once, proven by their canary, and kept while studies use them."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace

from scnas_deploy.errors import PackageError
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.inference.model import Model, load_model
from scnas_deploy.inference.trust import Trust
from scnas_deploy.serve.settings import WorkSettings
from scnas_deploy.serve.spool import Spool
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ


class EngineClock:
    """How long at least one engine has been computing, and how long all of them together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active, self._since = 0, 0.0
        self._busy = 0.0

    def begin(self) -> None:
        """A call to an engine begins."""
        with self._lock:
            if self._active == 0:
                self._since = time.monotonic()
            self._active += 1

    def end(self) -> None:
        """A call has ended."""
        with self._lock:
            self._active -= 1
            if self._active == 0:
                self._busy += time.monotonic() - self._since

    def busy_seconds(self) -> float:
        """Seconds since the start in which an engine was computing."""
        with self._lock:
            return self._busy + (time.monotonic() - self._since if self._active else 0.0)


class TimedEngine:
    """An engine whose calls are timed.

    Args:
        engine: Computes.
        clock: Of the whole server.
    """

    def __init__(self, engine: Engine, clock: EngineClock) -> None:
        self._engine, self._clock = engine, clock
        self.name: str = engine.name
        self.precision: Precision = engine.precision
        self.device: str = engine.device
        self.preferred_batch, self.concurrency = engine.preferred_batch, engine.concurrency

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches."""
        self._clock.begin()
        try:
            return self._engine.run(patches_BCXYZ)
        finally:
            self._clock.end()


@dataclass(slots=True)
class _Slot:
    """A model, or the place of one that is being loaded."""

    lock: threading.Lock
    model: Model | None = None


class ModelPool:
    """Loads models by digest, one at a time each, and keeps those used last.

    Args:
        spool: Where their packages are.
        settings: Engine, precision, threads, and how many stay.
        trust: Whose signatures count.
        clock: Times all engines.
    """

    def __init__(self, spool: Spool, settings: WorkSettings, trust: Trust, clock: EngineClock) -> None:
        self._spool, self._settings, self._trust, self.clock = spool, settings, trust, clock
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, _Slot] = OrderedDict()

    def get(self, digest: str) -> Model:
        """Return a model, loaded and proven if it is not yet.

        Raises:
            FormatError: If the spool does not hold its package.
            PackageError: If it must not be trusted.
            EngineError: If no engine runs it, or one answers the canary wrongly.
        """
        slot = self._slot(digest)
        with slot.lock:
            if slot.model is None:
                slot.model = self._load(digest)
            return slot.model

    def drop(self, digest: str) -> None:
        """Forget a model whose engine has failed, so that the next study gets a new one."""
        with self._lock:
            self._slots.pop(digest, None)

    def _slot(self, digest: str) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(digest, _Slot(threading.Lock()))
            self._slots.move_to_end(digest)
            while len(self._slots) > self._settings.warm_models:
                self._slots.popitem(last=False)
            return slot

    def _load(self, digest: str) -> Model:
        settings = self._settings
        model = load_model(
            self._spool.model(digest),
            engine=settings.engine,
            precision=settings.precision,
            num_threads=settings.threads,
            trust=self._trust,
        )
        if model.package.digest != digest:
            raise PackageError(
                "the model", expected=f"the package {digest[:12]}", found=model.package.digest[:12], remedy="Remove it"
            )
        timed = TimedEngine(model.engine, self.clock)
        return replace(model, engine=timed, predictor=model.predictor.on(timed))
