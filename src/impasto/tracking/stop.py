"""A stop that loses nothing: Ctrl-C, SIGTERM or Slurm's SIGUSR1 waits for the step in progress."""

import logging
import signal
import threading
from types import FrameType
from typing import Any, Self

from impasto.group import slurm_job

log = logging.getLogger(__name__)


class StopSignal:
    """Listens for Ctrl-C and SIGTERM; `requested` says whether one came. A second Ctrl-C interrupts at once.

    In a Slurm job, SIGUSR1 is a stop as well (`sbatch --signal=USR1@120`), with the wish to be started `again`.
    """

    def __init__(self) -> None:
        self.requested = self.again = False
        self._handlers: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, *((signal.SIGUSR1,) if slurm_job() else ())):
                self._handlers[number] = signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        self.again = self.again or number not in (signal.SIGINT, signal.SIGTERM)
        log.info("stopping after this step and saving; Ctrl-C again stops at once")

    def give_back(self) -> None:
        """Return the signals to whoever had them."""
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *error: object) -> None:
        self.give_back()
