"""Which scenes are taken for which: the confusion matrix of the last validation, as a table and a picture."""

import csv
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from impasto.files import whole_file
from impasto.tracking.tables import log_table


class Confusion(Callback):
    """Writes `confusion.csv` and `confusion.png` (rows: truth, columns: told) after each validation; the last to W&B.

    Systems that tell no scenes are passed over.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files; start counting anew."""
        metric = getattr(pl_module, "confusion", None)
        if metric is None or not metric.update_called:
            return
        counts: Tensor = metric.compute().cpu()  # of all processes
        if trainer.is_global_zero:
            self._write(counts.tolist(), list(pl_module.classes))  # type: ignore[arg-type]
            _draw(self.folder / "confusion.png", counts, list(pl_module.classes))  # type: ignore[arg-type]
        metric.reset()

    def _write(self, counts: list[list[int]], classes: list[str]) -> None:
        with whole_file(self.folder / "confusion.csv") as temporary, temporary.open("w", newline="") as file:
            rows = [[name, *row] for name, row in zip(classes, counts, strict=True)]
            csv.writer(file).writerows([["truth", *classes], *rows])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand what was last written to W&B."""
        if not (self.folder / "confusion.csv").is_file() or not trainer.is_global_zero:
            return
        with (self.folder / "confusion.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                log_table(logger, "val/confusion", rows, picture=self.folder / "confusion.png")


def _draw(path: Path, counts: Tensor, classes: list[str]) -> None:
    """Draw each row's shares, so that frequent scenes do not outshine rare ones."""
    from matplotlib.figure import Figure  # seconds to import

    side = 2.5 + 0.24 * len(classes)
    figure = Figure(figsize=(side, side), layout="constrained", dpi=90)
    axis = figure.subplots()
    axis.imshow(counts / counts.sum(dim=1, keepdim=True).clamp(min=1), cmap="Blues", vmin=0, vmax=1)
    places = range(len(classes))
    axis.set_xticks(places, classes, rotation=90, fontsize=8)
    axis.set_yticks(places, classes, fontsize=8)
    axis.set(xlabel="told", ylabel="truth")
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
