"""Sample images while training: the same photographs through the network every n steps."""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from impasto.files import short_name
from impasto.images import read_image, resize_longer_side, sheet, to_uint8, write_image
from impasto.listing import find_images
from impasto.run_folders import RunFolder

log = logging.getLogger(__name__)


class Samples(Callback):
    """Writes `samples/step_000500/<photograph>.png` and a sheet of all, `samples/step_000500.png`; the same to W&B.

    Args:
        folder: the run folder.
        every: steps between samples; the last step has samples in any case.
        count: how many photographs.
        size: their longer side in pixels.
        photographs: files or folders; None takes held-out photographs of the DataModule.
    """

    def __init__(self, folder: str, *, every: int, count: int, size: int, photographs: Sequence[str] | None) -> None:
        if every < 1 or count < 1:
            raise ValueError(f"expected callbacks.samples every and count of at least 1, got {every} and {count}")
        self.folder = RunFolder(Path(folder))
        self.every, self.count, self.size = every, count, size
        self.sources = photographs
        self.photographs: dict[str, Tensor] = {}
        self._last_step = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the photographs and keep copies beside the samples."""
        if not trainer.is_global_zero:
            return
        for name, photo in islice(self._read(trainer.datamodule), self.count):  # type: ignore[attr-defined]
            self.photographs[name] = resize_longer_side(photo, self.size)
            write_image(self.folder.sample_photograph(name), self.photographs[name])

    def _read(self, data: Any) -> Iterator[tuple[str, Tensor]]:  # noqa: ANN401 (any DataModule)
        """Names and photographs, evenly spread, then the others if some are broken."""
        if not self.sources and hasattr(data, "sample_photographs"):  # photographs that are no files
            for number, (name, photo) in enumerate(data.sample_photographs(self.count)):
                yield name if name not in self.photographs else f"{number}_{name}", photo
            return
        paths: list[Path] = [found.path for found in find_images(self.sources)] if self.sources else data.val_paths
        step = max(1, len(paths) // self.count)
        for path in dict.fromkeys([*paths[::step], *paths]):
            try:
                photo = read_image(path)
            except (ValueError, OSError) as error:
                log.warning("left out: %s", error)
                continue
            yield path.stem if path.stem not in self.photographs else f"{path.parent.name}_{path.stem}", photo

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Write samples where it is time."""
        if trainer.global_step % self.every == 0:
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the last samples."""
        self._write(trainer, pl_module)

    @torch.no_grad()
    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        if not trainer.is_global_zero or step == self._last_step:
            return
        self._last_step = step
        was_training, shown = pl_module.training, {}
        pl_module.eval()
        for name, photo in self.photographs.items():
            with trainer.precision_plugin.forward_context():
                several = pl_module(photo[None].to(pl_module.device))  # one, or one in each style
            several = several[..., : photo.shape[-2], : photo.shape[-1]]  # the paper's network rounds up to 4 pixels
            several = several.float().cpu().clamp(0, 1)
            for number, output in enumerate(several):
                ending = f"_{number}" if len(several) > 1 else ""
                write_image(self.folder.sample(step, f"{name}{ending}"), output)
            shown[name] = pl_module.shown(photo, *several)  # type: ignore[operator]
        pl_module.train(was_training)
        write_image(self.folder.sample_sheet(step), sheet(list(zip(*shown.values(), strict=True))))
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                for name, images in shown.items():
                    logger.log_image(f"samples/{short_name(name)}", [to_uint8(image) for image in images], step=step)
