"""How far TensorRT's builder has come, and stopping it.

The builder reports nested phases, each of so many steps, from threads of its own. A phase that lies within another's
step fills that step.

The builder works in a thread of its own. An exception must not run through TensorRT's frames, and Ctrl-C arrives in
whatever Python code the main thread runs next, which would be one of TensorRT's callbacks.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final, TypeVar

BuildProgress = Callable[[int, int], None]
"""Called with steps done and in all; may raise to stop the build."""

Built = TypeVar("Built")

_STEPS: Final = 1000
"""What a build is reported in."""
_INTERVAL_SECONDS: Final = 0.2


@dataclass(slots=True)
class _Phase:
    parent: str | None
    num_steps: int
    done: int = 0


class BuildState:
    """The phases that the builder is in, and whether it shall go on. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phases: dict[str, _Phase] = {}
        self._furthest = 0.0
        self.stopped = False

    def start(self, name: str, parent: str | None, num_steps: int) -> None:
        """A phase has begun."""
        with self._lock:
            self._phases[name] = _Phase(parent, max(1, num_steps))

    def step(self, name: str, step: int) -> bool:
        """A phase's step, counted from zero, is done; answer whether to go on."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
            self._furthest = max(self._furthest, self._reached())
        return not self.stopped

    def finish(self, name: str) -> None:
        """A phase is over."""
        with self._lock:
            self._phases.pop(name, None)

    def fraction(self) -> float:
        """The part that is done, which never falls."""
        return self._furthest

    def _reached(self) -> float:
        """Of the phases that lie within no other."""
        return max((self._part(name) for name, phase in self._phases.items() if phase.parent is None), default=0.0)

    def _part(self, name: str) -> float:
        within = max((self._part(other) for other, phase in self._phases.items() if phase.parent == name), default=0.0)
        phase = self._phases[name]
        return min(phase.done + within, phase.num_steps) / phase.num_steps


def monitor_of(trt: Any, state: BuildState) -> Any:
    """Return the progress monitor (an ``IProgressMonitor``) that tells a build's state."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            state.start(phase_name, parent_phase or None, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            state.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return state.step(phase_name, step)

    return Monitor()


def watched(build: Callable[[], Built], state: BuildState, progress: BuildProgress | None) -> Built:
    """Run a build and report on it.

    What ``progress`` raises, and Ctrl-C, stops the build at its next step and is raised when it has stopped.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="tensorrt") as pool:
        building = pool.submit(build)
        try:
            while not wait([building], timeout=_INTERVAL_SECONDS).done:
                _report(state, progress)
        except BaseException:
            state.stopped = True
            raise
        return building.result()


def _report(state: BuildState, progress: BuildProgress | None) -> None:
    done = int(_STEPS * state.fraction())
    if progress is not None and done:
        progress(done, _STEPS)
