"""A progress bar with time left on a terminal, a line now and then in a log file."""

import logging
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger(__name__)


class Bar:
    """Shows how many steps are done, a text, and the time left.

    Args:
        total: steps.
        done: steps of an earlier start.
        log_every_seconds: between lines where the output is no terminal.
    """

    def __init__(self, *, total: int, done: int, log_every_seconds: float) -> None:
        self.total, self.log_every_seconds = total, log_every_seconds
        self._first, self._begin = done, time.perf_counter()
        self._logged = self._begin
        self._bar: Progress | None = None
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}"))
            times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
            self._bar = Progress(*columns, *times, console=console)
            self._task = self._bar.add_task("", total=total, completed=done)
            self._bar.start()

    def update(self, done: int, text: str) -> None:
        """Show that so many steps are done."""
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text.replace("[", r"\["))
        elif now - self._logged > self.log_every_seconds:
            self._logged = now
            left = (self.total - done) * (now - self._begin) / max(1, done - self._first)
            log.info("step %d of %d, %s, %.1f minutes left", done, self.total, text, left / 60)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
