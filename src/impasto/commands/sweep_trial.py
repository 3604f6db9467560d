"""One trial of a sweep: an `impasto train` of its own, in a process group of its own.

Its process is forked from a server that has imported everything, so that imports cost the sweep once and not each
trial. What happens in it, running out of memory included, cannot take the sweep with it, and all ranks of a
distributed training belong to one trial.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from pathlib import Path
from typing import NamedTuple

from impasto.run_folders import running_process
from impasto.sweep.storage import StorageLostError
from impasto.tracking.stop import StopSignal
from impasto.tracking.trial import VARIABLE

LOG = "console.log"  # of a trial's folder: everything that its process wrote
_SECONDS_FOR_LEFTOVER = 600.0  # that a training whose sweep was killed may take to save and stop
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


class Listener(NamedTuple):
    """What the sweep does while a trial trains.

    Attributes:
        validated: given the step and the validation's losses; returns whether to prune.
        progress: given the step and the number of steps.
        often: called again and again, at least every half second.
    """

    validated: Callable[[int, Mapping[str, float]], bool]
    progress: Callable[[int, int], None]
    often: Callable[[], None]


class Launcher:
    """Starts trials.

    Args:
        worker: number of this worker among those of this machine, from 0 on; takes GPUs by turns.
        workers: how many there are.
    """

    def __init__(self, *, worker: int, workers: int) -> None:
        self.worker, self.workers = worker, workers
        methods = multiprocessing.get_all_start_methods()
        self.context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            self.context.set_forkserver_preload(_PRELOADED)

    def run(self, words: Sequence[str], folder: Path, *, run_id: str, listener: Listener, stop: StopSignal) -> int:
        """Train to the end, or until told to stop.

        Args:
            words: for Hydra, behind `impasto`.
            folder: of the trial.
            run_id: of the trial, for its W&B run.
            listener: told what happens.
            stop: as soon as it is requested, the training is asked to save and end.

        Returns:
            The exit code; negative where a signal killed it.

        Raises:
            KeyboardInterrupt: by a second Ctrl-C; the training is killed.
        """
        ours, theirs = self.context.Pipe()
        arguments = (list(words), str(folder), run_id, theirs, self.worker, self.workers)
        process = self.context.Process(  # type: ignore[attr-defined]  # typeshed's BaseContext lacks it
            target=_train, args=arguments
        )
        process.start()
        theirs.close()
        asked = False
        try:
            while _listen(ours, listener, process.sentinel):
                listener.often()
                if stop.requested and not asked:
                    asked = True
                    _ask_to_stop(process.pid)
            ours.close()  # whoever still waits for an answer goes on without one
            while process.exitcode is None:
                process.join(0.5)
                listener.often()
                if stop.requested and not asked:
                    asked = True
                    _ask_to_stop(process.pid)
        except BaseException as error:
            ours.close()
            if isinstance(error, StorageLostError):
                _ask_to_stop(process.pid)  # the training is sound: it saves
            else:
                process.kill()
                _signal_group(process.pid, signal.SIGKILL)
            raise
        finally:
            process.join()
        _signal_group(process.pid, signal.SIGKILL)  # ranks that its end has left behind
        return int(process.exitcode or 0)


def _listen(pipe: Connection, listener: Listener, sentinel: int) -> bool:
    """Take one message, or none for half a second; return whether the process may send more."""
    try:
        if not (ready := wait([pipe, sentinel], timeout=0.5)):
            return True
        if pipe not in ready:
            return False
        kind, step, told = pipe.recv()
        if kind == "step":
            listener.progress(step, told)
        else:
            pipe.send(listener.validated(step, told))
    except (EOFError, OSError):  # it has ended, or was killed
        return False
    return True


def _ask_to_stop(pid: int | None) -> None:
    """Tell the first rank alone: it agrees on the step with the others, and processes that read photographs go on."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid or 0, signal.SIGTERM)


def _signal_group(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or has not made its group yet
            os.killpg(pid, number)


def _train(words: list[str], folder: str, run_id: str, pipe: Connection, worker: int, workers: int) -> None:
    """The process of the trial: `impasto train`, its output in the trial's folder."""
    os.setpgid(0, 0)  # Ctrl-C on the terminal reaches the sweep, which then asks
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / LOG).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ |= {VARIABLE: str(pipe.fileno()), "IMPASTO_RUN_ID": run_id}
    if workers > 1:
        _take_one_gpu(worker)
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


def _take_one_gpu(worker: int) -> None:
    import torch

    if "CUDA_VISIBLE_DEVICES" not in os.environ and (count := torch.cuda.device_count()) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(worker % count)


def wait_for_leftover(folder: Path, stop: StopSignal, often: Callable[[], None]) -> None:
    """Wait until the training of a sweep that was killed has saved and ended; do something again and again meanwhile.

    Raises:
        ValueError: it does not end.
    """
    begin = time.monotonic()
    while (pid := running_process(folder)) is not None and not stop.requested:
        if time.monotonic() - begin > _SECONDS_FOR_LEFTOVER:
            raise ValueError(
                f"{folder} is still trained by process {pid}, whose sweep is gone; stop that process first"
            )
        often()
        time.sleep(0.2)
