"""One trial of a sweep: an `impasto train` of its own, in a process group of its own.

Its process is forked from a server that has imported everything, once for the sweep. What happens in it cannot take the
sweep with it, and all ranks of a distributed training belong to one trial.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.process import parent_process
from pathlib import Path

from impasto.tracking.callbacks import VARIABLE

LOG = "console.log"  # of a trial's folder: everything that its process wrote
_CONTEXT = multiprocessing.get_context("forkserver")
_OURS = ("launch.job", "commands.sweep_trial", "commands.train", "features", "gatys", "networks", "systems")
_THEIRS = ("torch._dynamo", "torchmetrics.image", "torchvision.transforms.v2")
_LATE = "wandb.sdk.launch"  # which wandb.init imports: two seconds
_CONTEXT.set_forkserver_preload([*(f"impasto.{name}" for name in _OURS), *_THEIRS, _LATE])


def start_training(
    words: Sequence[str], folder: Path, *, run_id: str, gpu: int | None
) -> tuple[ForkServerProcess, Connection]:
    """Start the training of a trial, by its words for Hydra; its `TrialLink` speaks through the pipe.

    It takes this machine's GPU of that number, counted round; None what it finds. The id is that of its W&B run.
    """
    pipe, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_train, args=(list(words), folder, run_id, theirs, gpu))
    process.start()
    theirs.close()
    return process, pipe


def end_group(process: ForkServerProcess) -> None:
    """End a training with all ranks that belong to it, nothing saved."""
    process.kill()
    assert process.pid  # it was started; the group of 0 would be ours
    with suppress(ProcessLookupError, PermissionError):  # it has ended, or has not made its group yet
        os.killpg(process.pid, signal.SIGKILL)


def _train(words: list[str], folder: Path, run_id: str, pipe: Connection, gpu: int | None) -> None:
    os.setpgid(0, 0)  # Ctrl-C on the terminal reaches the sweep, which then asks
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ |= {VARIABLE: str(pipe.fileno()), "IMPASTO_RUN_ID": run_id}
    if gpu is not None and "CUDA_VISIBLE_DEVICES" not in os.environ:
        import torch

        if (count := torch.cuda.device_count()) > 1:
            os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu % count)
    sys.argv = ["impasto", "--config-name", "train", *words]
    sys.modules.pop("impasto.cli", None)  # it is run, not imported
    try:
        runpy.run_module("impasto.cli", run_name="__main__", alter_sys=True)  # other ranks are started from this name
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if (wandb := sys.modules.get("wandb")) is not None:
            wandb.teardown()


def _end_with_the_sweep() -> None:
    """A sweep that was killed leaves nothing running: the training saves, as by Ctrl-C."""
    sweep = parent_process()
    if sweep is not None:
        sweep.join()
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # nothing is there to save yet; other ranks would wait
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGTERM)
