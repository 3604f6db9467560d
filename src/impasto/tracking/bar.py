"""A progress bar with time left on a terminal, a line now and then in a log file."""

import logging
import time
from contextlib import AbstractContextManager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

log = logging.getLogger(__name__)


class Bar(AbstractContextManager["Bar"]):
    """Shows how many steps are done, those of an earlier start among them, a text, and the time left."""

    def __init__(self, *, total: int, done: int = 0, log_every_seconds: float = 30.0) -> None:
        self.total, self.log_every_seconds = total, log_every_seconds
        self._first, self._begin = done, time.perf_counter()
        self._logged = self._begin
        console = Console(stderr=True)
        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}"))
        times = (TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
        self._bar = Progress(*columns, *times, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=total, completed=done, left="")
        self._bar.start()

    def rate(self, done: int) -> float:
        """Return the steps a second since the start, so many being done; rich's own is that of a burst."""
        return (done - self._first) / max(1e-9, time.perf_counter() - self._begin)

    def update(self, done: int, text: str) -> None:
        """Show that so many steps are done."""
        now = time.perf_counter()
        left = (self.total - done) * (now - self._begin) / max(1, done - self._first)
        shown = f"{timedelta(seconds=round(left))} left"
        self._bar.update(self._task, completed=done, description=text.replace("[", r"\["), left=shown)
        if self._bar.disable and now - self._logged > self.log_every_seconds:
            self._logged = now
            log.info("step %d of %d, %s, %.1f minutes left", done, self.total, text, left / 60)

    def stop(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()

    __exit__ = stop
