"""How a run ends, and the record of it in the run folder and in the dashboards."""

import contextlib
import io
import logging
import platform
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from impasto.group import find_group, is_first_process
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


@contextmanager
def recorded(folder: Path, *, config: str | None) -> Iterator[None]:
    """Keep the run's status true while the body runs: running, then finished, interrupted, pruned or failed (and why).

    The run in a dashboard, where there is one, is ended with the same outcome.

    Args:
        folder: the run folder; it is made.
        config: the resolved configuration, YAML. None for a run that is resumed: the body calls `RunFolder.begin`
            once it knows that the run can go on; if it never does, the run folder stays as it is.
    """
    if not is_first_process():
        yield
        return
    start = time.time()
    if config is not None:
        RunFolder(folder).begin(config, _environment())
    outcome: dict[str, object] = {"status": "failed"}  # holds for whatever is not named below
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
        with contextlib.suppress(OSError):  # a full disk: the body has failed with it, and its error is to be shown
            RunFolder(folder).end(outcome | {"seconds": round(time.time() - start, 1)})
        finish_loggers(str(outcome["status"]))


def _environment() -> dict[str, object]:
    return {
        "command": [without_secrets(word) for word in sys.argv],
        "launch": find_group().launch,
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        **describe_machine(),
    }


def finish_loggers(status: str) -> None:
    """End the runs of this process in dashboards, where there are any; W&B's summary gets the run's status."""
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
