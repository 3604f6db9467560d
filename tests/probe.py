"""A callback that tells which weights each process of a training has in the end, and how often they exchanged."""

import functools
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

COLLECTIVES = ("all_reduce", "all_gather", "all_gather_object", "barrier", "broadcast", "broadcast_object_list")


class Probe(Callback):
    """Writes the weights' SHA-256 to `weights_<rank>.txt`, and `collectives.json`: those of steps and of validations.

    Gradients are exchanged by C++ and not counted.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.counts: dict[str, Counter[str]] = {"steps": Counter(), "validations": Counter()}
        self.kind = "steps"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from here on."""
        for name in COLLECTIVES:
            setattr(torch.distributed, name, functools.partial(self._counted, name, getattr(torch.distributed, name)))

    def _counted(self, name: str, function: Any, *args: Any, **options: Any) -> Any:
        self.counts[self.kind][name] += 1
        return function(*args, **options)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A validation begins."""
        self.kind = "validations"

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A validation ends."""
        self.kind = "steps"

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        found = hashlib.sha256()
        for value in pl_module.state_dict().values():
            found.update(value.numpy().tobytes())
        (self.folder / "collectives.json").write_text(json.dumps(self.counts))
        (self.folder / f"weights_{trainer.global_rank}.txt").write_text(f"{trainer.global_step} {found.hexdigest()}")
