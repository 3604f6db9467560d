"""A training that is a trial of a sweep: it tells the sweep what it reaches, and ends where the sweep prunes it."""

import os
import time
from multiprocessing.connection import Connection

from lightning import Callback, LightningModule, Trainer

from impasto.tracking.run_folder import Pruned

VARIABLE = "IMPASTO_TRIAL"  # the file descriptor of the pipe to the sweep, in the environment of the trial's process
_SECONDS_BETWEEN_STEPS = 1.0


class TrialLink(Callback):
    """Sends the sweep each validation's losses and waits for its word; without a sweep it does nothing.

    Messages are `("step", step, steps)` and, answered with whether to prune, `("validated", step, losses)`.

    Raises:
        Pruned: on every rank, as soon as the sweep says so.
    """

    def __init__(self) -> None:
        told = os.environ.get(VARIABLE)
        self._sweep = Connection(int(told)) if told and os.environ.get("LOCAL_RANK", "0") == "0" else None
        self._told = 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Tell the step, at most once a second."""
        now = time.monotonic()
        if self._sweep is not None and now - self._told > _SECONDS_BETWEEN_STEPS:
            self._told = now
            self._send("step", trainer.global_step, trainer.max_steps)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the losses, and end the training if it is pruned."""
        step, prune = trainer.global_step, False
        if trainer.is_global_zero and self._sweep is not None:
            losses = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
            if self._send("validated", step, losses):
                try:
                    prune = bool(self._sweep.recv())
                except (EOFError, OSError):  # the sweep was killed; the process will be told to stop
                    self._sweep = None
        if trainer.strategy.broadcast(prune) and trainer.state.fn == "fit":
            raise Pruned(f"pruned at step {step}: other trials had done better by then")

    def _send(self, *message: object) -> bool:
        assert self._sweep is not None
        try:
            self._sweep.send(message)
        except OSError:
            self._sweep = None
            return False
        return True
