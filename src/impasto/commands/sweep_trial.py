"""One trial of a sweep: an `impasto train` of its own, in a process group of its own.

Its process is forked from a server that has imported everything, once for the sweep. What happens in it cannot take the
sweep with it, and all ranks of a distributed training belong to one trial.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from impasto.tracking.trial import VARIABLE

LOG = "console.log"  # of a trial's folder: everything that its process wrote
_PRELOADED = [
    "impasto.launch.job",
    "impasto.commands.sweep_trial",
    "impasto.commands.train",
    "impasto.features",
    "impasto.gatys",
    "impasto.networks",
    "impasto.systems",
    "torch._dynamo",
    "torchmetrics.image",
    "torchvision.transforms.v2",
    "wandb.sdk.launch",  # which wandb.init imports: two seconds
]
if sys.platform == "win32":
    _CONTEXT = multiprocessing.get_context("spawn")
else:
    _CONTEXT = multiprocessing.get_context("forkserver")
    _CONTEXT.set_forkserver_preload(_PRELOADED)


class Message(NamedTuple):
    """What a training says while it runs."""

    step: int  # it has done
    steps: int  # in all
    losses: Mapping[str, float]  # of a validation; with them it waits for an answer


class Training:
    """The training of a trial, running. Leaving it waits for its end: it saves where anything was raised meanwhile.

    Args:
        words: for Hydra, behind `impasto`.
        folder: of the trial.
        run_id: of its W&B run.
        gpu: number of this machine's GPU that it takes, counted round; None for what it finds.
    """

    def __init__(self, words: Sequence[str], folder: Path, *, run_id: str, gpu: int | None) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_train, args=(list(words), str(folder), run_id, theirs, gpu))
        self._process.start()
        self._listening, self._asked = True, False
        theirs.close()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal killed it."""
        return self._process.exitcode

    def hear(self) -> Message | None:
        """Return what it says; None where it says nothing for half a second, or has ended."""
        try:
            if self._listening and self._pipe in wait([self._pipe, self._process.sentinel], timeout=0.5):
                return Message(*self._pipe.recv())
        except (EOFError, OSError):  # it has ended, or was killed
            self._listening = False
        if not self._listening:
            self._process.join(0.5)
        return None

    def answer(self, *, prune: bool) -> None:
        """Let it go on after a validation, or end there."""
        with contextlib.suppress(OSError):  # it was killed
            self._pipe.send(prune)

    def stop(self) -> None:
        """Ask it once to save and end: the first rank, which agrees on the step with the others."""
        if not self._asked and self._process.pid:
            self._asked = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it with all that belongs to it, nothing saved."""
        self._process.kill()
        assert self._process.pid  # it was started; the group of 0 would be ours
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or has not made its group yet
            _kill_group(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()  # whoever still waits for an answer goes on without one
        if kind is not None:
            self.stop()
        self._process.join()
        self.kill()  # ranks that its end has left behind


def _train(words: list[str], folder: str, run_id: str, pipe: Connection, gpu: int | None) -> None:
    """The process of the trial: `impasto train`, its output in the trial's folder."""
    if sys.platform != "win32":
        os.setpgid(0, 0)  # Ctrl-C on the terminal reaches the sweep, which then asks
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / LOG).open("ab") as log:
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
            _kill_group(0)
        os.kill(os.getpid(), signal.SIGTERM)


def _kill_group(number: int) -> None:
    if sys.platform != "win32":  # which has no process groups
        os.killpg(number, signal.SIGKILL)
