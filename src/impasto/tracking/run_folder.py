"""A run folder explains itself: its config, its environment, and how it ended."""

import contextlib
import json
import logging
import os
import platform
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from impasto.files import write_text
from impasto.hardware import describe_machine

log = logging.getLogger(__name__)

_PACKAGES = ("impasto", "torch", "torchvision", "lightning", "hydra-core", "omegaconf", "wandb", "numpy", "pillow")


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and stopped with everything saved; says how to go on."""


def is_first_process() -> bool:
    """Whether this process writes the run folder; in a group of processes only the first does."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


@contextmanager
def recorded(folder: Path, *, config: str) -> Iterator[None]:
    """Keep `status.json` true while the body runs: running, then finished, interrupted or failed with its traceback.

    W&B's run, where there is one, is ended with the same outcome.

    Args:
        folder: the run folder; it is made.
        config: the resolved configuration, YAML; written to `config.yaml` unless the run is being resumed.
    """
    if not is_first_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.rglob(".*.part*"):  # of an earlier start that was killed while it wrote
        leftover.unlink()
    if not (folder / "config.yaml").exists():
        write_text(folder / "config.yaml", config)
        write_environment(folder)
    begin = time.time()
    status = {"status": "running", "started": _clock(begin), "pid": os.getpid()}
    _write(folder, status)
    outcome = {"status": "failed"}  # holds for whatever is not named below
    try:
        yield
        outcome = {"status": "finished"}
    except KeyboardInterrupt:
        outcome = {"status": "interrupted"}
        raise
    except BaseException as error:
        outcome |= {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        raise
    finally:
        ended = {"ended": _clock(time.time()), "seconds": round(time.time() - begin, 1)}
        _write_if_possible(folder, status | outcome | ended)
        finish_wandb(0 if outcome["status"] == "finished" else 1)


def _write(folder: Path, status: dict[str, Any]) -> None:
    write_text(folder / "status.json", json.dumps(status, indent=2) + "\n")


def _write_if_possible(folder: Path, status: dict[str, Any]) -> None:
    with contextlib.suppress(
        OSError
    ):  # a full disk: the body has just failed with it, and its error is the one to show
        _write(folder, status)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def write_environment(folder: Path) -> None:
    """Write `environment.json`: command, packages, machine."""
    told = {
        "command": sys.argv,
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        **describe_machine(),
    }
    write_text(folder / "environment.json", json.dumps(told, indent=2) + "\n")


def finish_wandb(exit_code: int) -> None:
    """End the W&B run of this process, if there is one, as finished (0) or crashed (anything else)."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        try:
            wandb.finish(exit_code=exit_code)
        except Exception as error:  # whatever W&B meets at the end, the run itself has ended as it has
            log.warning("W&B could not finish its record: %s", error)
