"""A run folder explains itself: its config, its environment, and how it ended."""

import contextlib
import json
import logging
import os
import platform
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from impasto.files import remove_unfinished, write_text
from impasto.group import find_group, is_first_process
from impasto.hardware import describe_machine
from impasto.redaction import without_secrets
from impasto.run_folders import read_status

log = logging.getLogger(__name__)

_PACKAGES = ("impasto", "torch", "torchvision", "lightning", "hydra-core", "omegaconf", "wandb", "numpy", "pillow")


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and stopped with everything saved; says how to go on."""


class StartAgain(Interrupted):
    """The same, at the wish of Slurm, which shall start the job again once all is recorded."""


class Pruned(Exception):  # noqa: N818 (no error, as KeyboardInterrupt is none)
    """A sweep ended the training early, since other trials had done better by then; says at which step."""


@contextmanager
def recorded(folder: Path, *, config: str | None) -> Iterator[None]:
    """Keep `status.json` true while the body runs: running, then finished, interrupted, pruned or failed (and why).

    W&B's run, where there is one, is ended with the same outcome.

    Args:
        folder: the run folder; it is made.
        config: the resolved configuration, YAML. None for a run that is resumed: the body calls `begin` once it knows
            that the run can go on; if it never does, the run folder stays as it is.
    """
    if not is_first_process():
        yield
        return
    start = time.time()
    if config is not None:
        begin(folder, config=config)
        write_environment(folder)
    outcome = {"status": "failed"}  # holds for whatever is not named below
    try:
        yield
        outcome = {"status": "finished"}
    except KeyboardInterrupt:
        outcome = {"status": "interrupted"}
        raise
    except Pruned:
        outcome = {"status": "pruned"}
        raise
    except BaseException as error:
        outcome |= {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        raise
    finally:
        ended = {"ended": _clock(time.time()), "seconds": round(time.time() - start, 1)}
        status = read_status(folder)
        if status.get("pid") == os.getpid() and status.get("status") == "running":  # it has begun
            with contextlib.suppress(OSError):  # a full disk: the body has failed with it, and its error is to be shown
                _write(folder, status | outcome | ended)
        finish_wandb(outcome["status"])


def begin(folder: Path, *, config: str) -> None:
    """Write `config.yaml` and a `status.json` that says "running"; remove what an earlier start left half written.

    Args:
        folder: the run folder; it is made.
        config: the resolved configuration, YAML.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(pid := read_status(folder).get("pid"), int):
        remove_unfinished(folder, pid)
    write_text(folder / "config.yaml", without_secrets(config))
    started = {"started": _clock(time.time()), "pid": os.getpid(), "host": socket.gethostname()}
    _write(folder, {"status": "running", **started})


def _write(folder: Path, status: dict[str, Any]) -> None:
    write_text(folder / "status.json", without_secrets(json.dumps(status, indent=2)) + "\n")


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def write_environment(folder: Path) -> None:
    """Write `environment.json`: command, packages, machine."""
    told = {
        "command": [without_secrets(word) for word in sys.argv],
        "launch": find_group().launch,
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        **describe_machine(),
    }
    write_text(folder / "environment.json", json.dumps(told, indent=2) + "\n")


def finish_wandb(status: str) -> None:
    """End the W&B run of this process, if there is one.

    Args:
        status: "finished", "pruned", "interrupted" or "failed", which its summary says; W&B knows exit codes alone.
    """
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        with contextlib.suppress(Exception):
            wandb.run.summary["status"] = status
        try:
            wandb.finish(exit_code={"failed": 1, "interrupted": 255}.get(status, 0))  # 255: W&B's own for a Ctrl-C
        except Exception as error:  # whatever W&B meets at the end, the run itself has ended as it has
            log.warning("W&B could not finish its record: %s", error)
            with contextlib.suppress(Exception):
                wandb.teardown()  # its own process is gone; the next run starts another
