"""The time left in a line of progress; imports rich, which only a terminal needs."""

from datetime import timedelta

from rich.progress import ProgressColumn, Task
from rich.text import Text


class TimeLeftColumn(ProgressColumn):
    """How long a task still takes, and once it is finished, how long it has taken."""

    max_refresh = 0.5  # seconds; an estimate that changes with every step cannot be read

    def render(self, task: Task) -> Text:
        """Return the time left with its word; before it can be told, and at the end, the time that has passed."""
        left = None if task.finished else task.time_remaining
        if left is not None:
            return Text(f"{timedelta(seconds=int(left))} left", style="progress.remaining")
        passed = task.finished_time if task.finished else task.elapsed
        return Text(str(timedelta(seconds=int(passed or 0))), style="progress.elapsed")
