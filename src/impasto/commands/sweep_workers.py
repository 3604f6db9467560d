"""Several workers of one sweep on this machine: the first starts the others, and keeps the sweep's record."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from impasto.redaction import without_secrets
from impasto.tracking.run_folder import recorded

WORKER = "IMPASTO_WORKER"  # the number of a worker that another one started
FIRST = "IMPASTO_FIRST_WORKER"  # the process that started it


@contextmanager
def recorded_once(folder: Path, cfg: DictConfig) -> Iterator[None]:
    """Keep the sweep's own record; of several workers the first one does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".record.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield
        return
    try:
        text = without_secrets(OmegaConf.to_yaml(cfg, resolve=True))
        with recorded(folder, config=text):
            yield
    finally:
        lock.release()


def start_helper(folder: Path, number: int) -> subprocess.Popen[bytes]:
    """Start another worker: the same command."""
    with (folder / f"worker_{number}.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "impasto.cli", *sys.argv[1:]],
            env=os.environ | {WORKER: str(number), FIRST: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def end_with(first: int) -> None:
    """A worker that was killed leaves none of those running that it started: they save, as by Ctrl-C."""
    while os.getppid() == first:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def end(helpers: list[subprocess.Popen[Any]]) -> None:
    """Ask workers to save and end; wait for them."""
    for helper in helpers:
        helper.terminate()
    for helper in helpers:
        helper.wait()
