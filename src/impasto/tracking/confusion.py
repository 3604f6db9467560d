"""Which scenes are taken for which: the confusion matrix of the last validation, as a table and a picture."""

import warnings
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from impasto.files import whole_file
from impasto.tables import write_csv

_LARGEST = 25.0  # inches: with 365 scenes a row has room for 4 points


class Confusion(Callback):
    """Writes `confusion.csv` and `confusion.png` after each validation: rows are the truth.

    Systems that recognise no scenes are passed over.
    """

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
