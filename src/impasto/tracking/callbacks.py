"""Callbacks of a training: its progress, sample images, the confusion matrix, and its part in a sweep."""

import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from impasto.files import short_name, whole_file
from impasto.images import read_image, resize_longer_side, sheet, to_uint8, write_image
from impasto.listing import evenly_spread, find_images
from impasto.run_folders import RunFolder
from impasto.tables import write_csv
from impasto.tracking.bar import Bar
from impasto.tracking.recording import Pruned

log = logging.getLogger(__name__)

VARIABLE = "IMPASTO_TRIAL"  # the file descriptor of the pipe to the sweep, in the environment of the trial's process
_LARGEST = 25.0  # inches of the confusion matrix: with 365 scenes a row has room for 4 points


class Progress(Callback):
    """Shows step, photographs per second of the training and of the loader, time left, and the loss terms.

    The loader's rate is what its workers could deliver: their number over the mean seconds that a photograph takes.
    Where the output is no terminal there is a line now and then; `smoothing` is the newest step's weight in the rates.
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


class Samples(Callback):
    """Writes `samples/step_000500/<photograph>.png` and a sheet of all, `samples/step_000500.png`; the same to W&B.

    That is every so many steps, and after the last, of `count` photographs whose longer side is `size` pixels: files or
    folders, or where there are none held-out photographs of the DataModule.
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
        for path in dict.fromkeys([*evenly_spread(paths, self.count), *paths]):
            try:
                photo = read_image(path)
            except (ValueError, OSError) as error:
                log.warning("left out: %s", error)
                continue
            yield path.stem if path.stem not in self.photographs else f"{path.parent.name}_{path.stem}", photo

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Write samples where it is time."""
        if trainer.global_step % self.every == 0:
            self.on_train_end(trainer, pl_module)

    @torch.no_grad()
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write samples, at the last step in any case."""
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
        write_image(self.folder.sample(step), sheet(list(zip(*shown.values(), strict=True))))
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                for name, images in shown.items():
                    logger.log_image(f"samples/{short_name(name)}", [to_uint8(image) for image in images], step=step)


class Confusion(Callback):
    """Writes `confusion.csv` and `confusion.png` after each validation of scenes: rows are the truth."""

    def __init__(self, folder: str) -> None:
        self.table, self.picture = Path(folder) / "confusion.csv", Path(folder) / "confusion.png"

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files; start counting anew."""
        metric = getattr(pl_module, "confusion", None)
        if metric is None or not metric.update_called:
            return
        counts: Tensor = metric.compute().cpu()
        metric.reset()
        if trainer.is_global_zero:
            classes: list[str] = list(pl_module.classes)  # type: ignore[arg-type]
            rows = zip(classes, counts.tolist(), strict=True)
            write_csv(self.table, [{"truth": name, **dict(zip(classes, row, strict=True))} for name, row in rows])
            _draw(self.picture, counts, classes)


def _draw(path: Path, counts: Tensor, classes: list[str]) -> None:
    """Draw each row's shares, so that frequent scenes do not outshine rare ones."""
    from matplotlib.figure import Figure  # seconds to import

    side = min(_LARGEST, 2.5 + 0.24 * len(classes))
    font = min(8.0, 54 * side / len(classes))  # 72 points an inch, three quarters of a row
    figure = Figure(figsize=(side, side), layout="constrained", dpi=90)
    axis = figure.subplots()
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    axis.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    places = range(len(classes))
    axis.set_xticks(places, classes, rotation=90, fontsize=font, parse_math=False)
    axis.set_yticks(places, classes, fontsize=font, parse_math=False)
    axis.set(xlabel="predicted", ylabel="truth")
    with whole_file(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a name that it lacks is drawn as boxes
        figure.savefig(temporary, format="png", metadata={"Software": None})


class TrialLink(Callback):
    """Sends the sweep each validation's step and losses; raises Pruned on every rank as soon as the sweep says so."""

    def __init__(self) -> None:
        pipe = os.environ.get(VARIABLE)
        self._sweep = Connection(int(pipe)) if pipe and os.environ.get("LOCAL_RANK", "0") == "0" else None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the losses, and end the training if it is pruned."""
        losses = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        prune = False
        if trainer.is_global_zero and self._sweep is not None:
            try:
                self._sweep.send((trainer.global_step, losses))
                prune = bool(self._sweep.recv())
            except (EOFError, OSError):  # the sweep was killed; the process will be told to stop
                self._sweep = None
        if trainer.strategy.broadcast(prune) and trainer.state.fn == "fit":
            raise Pruned(f"pruned at step {trainer.global_step}: other trials had done better by then")
