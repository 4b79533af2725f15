"""How long a run will take, said once after its first steps."""

import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from scnas_deploy.cli.console import note
from scnas_deploy.pages.figures import duration

_NUM_MEASURED = 5
"""Steps that are timed; the one before them, which compiles and warms up, is left out."""


class Forecast:
    """Times the first steps of a run and says what the rest will take.

    The steps are the run's own, so that nothing is computed twice or otherwise. What comes at the end of an epoch,
    such as a validation, is left out of a median of five steps and so of the estimate.

    Args:
        device: What the run computes on, in words.
        clock: Seconds, rising.
    """

    def __init__(self, device: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._device, self._clock = device, clock
        self._ends: list[float] = []
        """When the first steps ended."""

    def after_step(self, done: int, total: int) -> None:
        """Take note of a step; the last of those that are timed prints the estimate, where any are left."""
        if len(self._ends) > _NUM_MEASURED:
            return
        self._ends.append(self._clock())
        if len(self._ends) > _NUM_MEASURED and done < total:
            seconds_a_step = statistics.median(
                end - start for start, end in zip(self._ends, self._ends[1:], strict=False)
            )
            note(self._in_words(seconds_a_step, total - done))

    def _in_words(self, seconds_a_step: float, num_steps: int) -> str:
        left = seconds_a_step * num_steps
        end = datetime.now().astimezone() + timedelta(seconds=left)
        rate = f"{seconds_a_step:.2g} s a step"
        steps = f"{num_steps} more steps on {self._device}, {rate}"
        return f"About {duration(left)} for {steps}; ends about {end:%Y-%m-%d %H:%M}."
