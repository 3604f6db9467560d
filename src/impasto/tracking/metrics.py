"""metrics.csv: one row a step, readable at any moment, continued by a resumed run.

Lightning's CSVLogger deletes the file of an earlier start in the same folder, which a resumed run must keep.
"""

import csv
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from impasto.files import whole_file

_SECONDS_BETWEEN_WRITES = 5.0


class MetricsFile(Logger):
    """Writes every metric to `metrics.csv`: a column "step", then one column a metric, blank where it was not logged.

    Args:
        folder: the run folder; a `metrics.csv` that is already there is continued.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"
        self.rows = _read(self.path)
        self._written = time.monotonic()

    @property
    def name(self) -> str:
        """Not used for paths."""
        return "csv"

    @property
    def version(self) -> str:
        """Not used for paths."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: object, **kwargs: object) -> None:
        """Nothing: `config.yaml` holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of their step; a step that is done again after a resume replaces its values."""
        row = self.rows.setdefault(step or 0, {})
        row.update({name: repr(float(value)) for name, value in metrics.items()})
        if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the file, whole."""
        if not self.rows:
            return
        columns = sorted({name for row in self.rows.values() for name in row})
        with whole_file(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *columns])
            writer.writeheader()
            writer.writerows({"step": step, **self.rows[step]} for step in sorted(self.rows))
        self._written = time.monotonic()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what has not been written."""
        self.save()


def _read(path: Path) -> dict[int, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            int(row.pop("step")): {name: value for name, value in row.items() if value} for row in csv.DictReader(file)
        }
