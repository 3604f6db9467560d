"""Training's progress: a bar with rates and time left on a terminal, a line now and then in a log file."""

import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from impasto.tracking.bar import Bar


class Progress(Callback):
    """Shows step, photographs per second of the training and of the loader, time left, and the loss terms.

    The loader's rate is what its workers could deliver: their number over the mean seconds that a photograph takes.

    Args:
        log_every_seconds: between lines where the output is no terminal.
        smoothing: weight of the newest step in the running rates.
    """

    def __init__(self, *, log_every_seconds: float, smoothing: float) -> None:
        self.log_every_seconds, self.smoothing = log_every_seconds, smoothing
        self._bar: Bar | None = None
        self._seconds, self._loader_seconds = 0.0, 0.0  # of a step, and of a photograph
        self._before, self._steps = 0.0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._before = time.perf_counter()
        if trainer.is_global_zero:
            total, done = int(trainer.max_steps), trainer.global_step
            self._bar = Bar(total=total, done=done, log_every_seconds=self.log_every_seconds)

    def on_train_batch_end(self, trainer: Any, pl_module: LightningModule, _: object, batch: Any, *__: int) -> None:  # noqa: ANN401
        """Update the rates; log them with the metrics."""
        now = time.perf_counter()
        self._steps += 1
        # A mean at first, then a running one; the first step, which compiles and warms up, is forgotten.
        weight = max(self.smoothing, 1 / max(1, self._steps - 1))
        self._seconds += weight * (now - self._before - self._seconds)
        self._loader_seconds += weight * (sum(batch.seconds) / len(batch.seconds) - self._loader_seconds)
        self._before = now
        rate = len(batch.seconds) * trainer.world_size / self._seconds
        loader = trainer.world_size * max(1, trainer.datamodule.num_workers) / max(self._loader_seconds, 1e-9)
        if (every := trainer.log_every_n_steps) and trainer.global_step % every == 0:
            speeds = {"speed/images_per_second": rate, "speed/loader_images_per_second": loader}
            pl_module.log_dict({name: torch.tensor(value) for name, value in speeds.items()})  # where they are: here
        if self._bar is not None:
            metrics = trainer.callback_metrics.items()
            losses = " ".join(f"{n.split('/')[1]} {float(v):.3g}" for n, v in metrics if n.startswith("train/"))
            self._bar.update(trainer.global_step, f"{rate:.1f} images/s (loader {loader:.0f}) {losses}")

    def on_validation_end(self, *_: object) -> None:
        """The time of a validation is no step's."""
        self._before = time.perf_counter()

    def on_train_end(self, *_: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def on_exception(self, *_: object) -> None:
        """Take the bar away."""
        self.on_train_end()
