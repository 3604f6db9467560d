"""How a run is asked to end, how it ends, and the record of it in the run folder and in the dashboards."""

import contextlib
import io
import logging
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any, Self

from impasto.group import find_group, is_first_process, slurm_job
from impasto.hardware import describe_machine
from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder

log = logging.getLogger(__name__)

_PACKAGES = ("impasto", "torch", "torchvision", "lightning", "hydra-core", "omegaconf", "wandb", "numpy", "pillow")


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and stopped with everything saved; says how to go on."""


class StartAgain(Interrupted):
    """The same, at the wish of Slurm, which shall start the job again once all is recorded."""


class Pruned(Exception):  # noqa: N818 (no error, as KeyboardInterrupt is none)
    """A sweep ended the training early, since other trials had done better by then; says at which step."""


class StopSignal:
    """Listens for Ctrl-C and SIGTERM; `requested` says whether one came. A second Ctrl-C interrupts at once.

    In a Slurm job, SIGUSR1 is a stop as well (`sbatch --signal=USR1@120`), with the wish to be started `again`.
    """

    def __init__(self) -> None:
        self.requested = self.again = False
        self._handlers: dict[int, Any] = {}

    def listen(self) -> Self:
        """Take the signals; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, *((signal.SIGUSR1,) if slurm_job() else ())):
                self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        self.again = self.again or number not in (signal.SIGINT, signal.SIGTERM)
        log.info("stopping after this step and saving; Ctrl-C again stops at once")

    def give_back(self, *_: object) -> None:
        """Return the signals to whoever had them."""
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    __enter__, __exit__ = listen, give_back


@contextmanager
def recorded(folder: Path, *, config: str | None) -> Iterator[None]:
    """Keep the run's status true while the body runs: running, then finished, interrupted, pruned or failed (and why).

    A dashboard's run is ended alike. `config` is the resolved configuration, YAML; None for a run that is resumed: the
    body calls `RunFolder.begin` once it knows that the run can go on; if it never does, the run folder stays as it is.
    """
    if not is_first_process():
        yield
        return
    start = time.time()
    if config is not None:
        RunFolder(folder).begin(config, _environment())
    try:
        yield
    finally:
        error = sys.exception()
        outcome: dict[str, object] = {"status": _status_of(error), "seconds": round(time.time() - start, 1)}
        if outcome["status"] == "failed":
            outcome |= {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        with contextlib.suppress(OSError):  # a full disk: the body has failed with it, and its error is to be shown
            RunFolder(folder).end(outcome)
        finish_loggers()


def _status_of(error: BaseException | None) -> str:
    statuses = {KeyboardInterrupt: "interrupted", Pruned: "pruned", BaseException: "failed"}
    return next((status for kind, status in statuses.items() if isinstance(error, kind)), "finished")


def _environment() -> dict[str, object]:
    return {
        "command": [without_secrets(word) for word in sys.argv],
        "launch": find_group().launch,
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        **describe_machine(),
    }


def finish_loggers() -> None:
    """End the runs of this process in dashboards, where there are any, as what is raised has ended them."""
    status = _status_of(sys.exception())
    trackio, wandb = sys.modules.get("trackio"), sys.modules.get("wandb")
    if trackio is not None:
        with contextlib.suppress(RuntimeError), contextlib.redirect_stdout(io.StringIO()):
            trackio.finish()  # raises where no run has begun
    if wandb is not None and wandb.run is not None:
        with contextlib.suppress(Exception):
            wandb.run.summary["status"] = status
        try:
            wandb.finish(exit_code={"failed": 1, "interrupted": 255}.get(status, 0))  # 255: W&B's own for a Ctrl-C
        except Exception as error:  # whatever W&B meets at the end, the run itself has ended as it has
            log.warning("W&B could not finish its record: %s", error)
            with contextlib.suppress(Exception):
                wandb.teardown()  # its own process is gone; the next run starts another
