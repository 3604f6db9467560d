"""Checkpoints that are never half-written, and a stop that loses nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO

from impasto.files import whole_file
from impasto.networks import save_network
from impasto.run_folders import RunFolder
from impasto.tracking.recording import StopSignal


class AtomicCheckpoints(TorchCheckpointIO):
    """Lightning writes a checkpoint in place; this writes beside it and renames, so that a kill leaves the old one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ANN401
        """Save a checkpoint whole or not at all."""
        with whole_file(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


class Checkpoints(Callback):
    """Saves `checkpoints/last.ckpt` and `network.safetensors` every n steps, at the end, and when asked to stop.

    Ctrl-C or SIGTERM once: the step in progress is finished, everything is saved, training ends. Several processes go
    on to the next step that is logged, where they agree. A second Ctrl-C ends it at once; the checkpoint of the last
    interval remains. The model's card gets steps and losses here.
    """

    def __init__(self, folder: Path, *, every: int, card: Mapping[str, Any]) -> None:
        if every < 1:
            raise ValueError(f"expected checkpoint_every of at least 1, got {every}")
        self.folder, self.every, self.card = RunFolder(folder), every, dict(card)
        self.stop = StopSignal()  # whether the run was asked to stop, and whether Slurm shall start it again
        self.last = self.folder.last_checkpoint  # from which a run is resumed
        self.validated_step = self._saved_step = -1  # that this process validated last
        self._stopping = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for Ctrl-C and SIGTERM."""
        self.stop.listen()

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *args: object) -> None:  # noqa: ANN401 (`System`)
        """Let the step tell other processes whether this one was asked to stop."""
        pl_module.asked_to_stop = self.stop.requested

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *args: object) -> None:  # noqa: ANN401
        """Save where it is time; stop when asked to, several processes at the same step."""
        stop = self.stop.requested if trainer.world_size == 1 else pl_module.stopping
        step = trainer.global_step
        if step != self._saved_step and (stop or step % self.every == 0 or step == trainer.max_steps):
            for name, value in pl_module.state_dict().items():
                if value.is_floating_point() and not torch.isfinite(value).all():
                    raise FloatingPointError(f"the weights {name} are not finite after step {step}")
            for logger in trainer.loggers:
                logger.save()  # first: a curve may reach further than the checkpoint, never less far
            trainer.save_checkpoint(self.last)
            self._saved_step = step
            self.save_network(trainer, pl_module)
        if stop:
            trainer.should_stop = self._stopping = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember to which step the losses on the card belong."""
        self.validated_step = trainer.global_step

    def save_network(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write `network.safetensors` with the latest losses on its card."""
        if trainer.is_global_zero:
            final = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
            card = {**self.card, "steps": trainer.global_step, "final": final, "final_step": self.validated_step}
            network: Any = pl_module.trained
            save_network(self.folder.network_file, network, card)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back; the network's card gets the last validation's losses."""
        self.stop.give_back()
        if trainer.world_size > 1:  # all go on alike, also if one was asked after the last step that was logged
            self.stop.requested = self._stopping
        self.save_network(trainer, pl_module)

    def on_exception(self, *_: object) -> None:
        """Give the signals back."""
        self.stop.give_back()
