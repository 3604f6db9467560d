"""A training that is a trial of a sweep: it says what it reaches, and ends where the sweep prunes it."""

import os
import time
from multiprocessing.connection import Connection

from lightning import Callback, LightningModule, Trainer

from impasto.tracking.run_folder import Pruned

VARIABLE = "IMPASTO_TRIAL"  # the file descriptor of the pipe to the sweep, in the environment of the trial's process
_SECONDS_BETWEEN_STEPS = 1.0


class TrialLink(Callback):
    """Sends the sweep each validation's losses and waits for its word; without a sweep it does nothing.

    Messages are `(step, steps, losses)`. Without losses they are not answered; else the answer is whether to prune.

    Raises:
        Pruned: on every rank, as soon as the sweep says so.
    """

    def __init__(self) -> None:
        pipe = os.environ.get(VARIABLE)
        self._sweep = Connection(int(pipe)) if pipe and os.environ.get("LOCAL_RANK", "0") == "0" else None
        self._sent = 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Send the step, at most once a second."""
        if time.monotonic() - self._sent > _SECONDS_BETWEEN_STEPS:
            self._sent = time.monotonic()
            self._send(trainer, {})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the losses, and end the training if it is pruned."""
        losses = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        prune = trainer.strategy.broadcast(trainer.is_global_zero and self._send(trainer, losses))
        if prune and trainer.state.fn == "fit":
            raise Pruned(f"pruned at step {trainer.global_step}: other trials had done better by then")

    def _send(self, trainer: Trainer, losses: dict[str, float]) -> bool:
        """Return the answer; False where there is no sweep, or none any more."""
        if self._sweep is None:
            return False
        try:
            self._sweep.send((trainer.global_step, trainer.max_steps, losses))
            return bool(losses and self._sweep.recv())
        except (EOFError, OSError):  # the sweep was killed; the process will be told to stop
            self._sweep = None
            return False
