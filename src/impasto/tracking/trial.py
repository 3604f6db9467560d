"""A training that is a trial of a sweep: it says what it reaches, and ends where the sweep prunes it."""

import os
from multiprocessing.connection import Connection

from lightning import Callback, LightningModule, Trainer

from impasto.tracking.run_folder import Pruned

VARIABLE = "IMPASTO_TRIAL"  # the file descriptor of the pipe to the sweep, in the environment of the trial's process


class TrialLink(Callback):
    """Sends the sweep each validation's step and losses, and waits to hear whether to prune; without one, nothing.

    Raises:
        Pruned: on every rank, as soon as the sweep says so.
    """

    def __init__(self) -> None:
        pipe = os.environ.get(VARIABLE)
        self._sweep = Connection(int(pipe)) if pipe and os.environ.get("LOCAL_RANK", "0") == "0" else None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the losses, and end the training if it is pruned."""
        losses = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        prune = trainer.strategy.broadcast(trainer.is_global_zero and self._ask(trainer.global_step, losses))
        if prune and trainer.state.fn == "fit":
            raise Pruned(f"pruned at step {trainer.global_step}: other trials had done better by then")

    def _ask(self, step: int, losses: dict[str, float]) -> bool:
        if self._sweep is None:
            return False
        try:
            self._sweep.send((step, losses))
            return bool(self._sweep.recv())
        except (EOFError, OSError):  # the sweep was killed; the process will be told to stop
            self._sweep = None
            return False
