"""metrics.csv: one row a step, readable at any moment, continued by a resumed run.

Lightning's CSVLogger deletes the file of an earlier start in the same folder, which a resumed run must keep.
"""

import time
from pathlib import Path

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from impasto.run_folders import RunFolder
from impasto.tables import write_csv

_SECONDS_BETWEEN_WRITES = 5.0


class MetricsFile(Logger):
    """Writes every metric: a column "step", then one a metric, blank where it was not logged; continues a file."""

    name, version = "csv", ""  # not used for paths

    def __init__(self, folder: Path) -> None:
        super().__init__()
        run = RunFolder(folder)
        self.path, self._written = run.metrics_file, time.monotonic()
        self.rows: dict[int, dict[str, float]] = {}
        if self.path.is_file():
            for name, curve in run.read_metrics().items():
                for step, value in zip(*curve, strict=True):
                    self.rows.setdefault(int(step), {})[name] = value

    def log_hyperparams(self, *args: object, **kwargs: object) -> None:
        """Nothing: the run folder has the configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of their step; a step that is done again after a resume replaces its values."""
        self.rows.setdefault(step or 0, {}).update({name: float(value) for name, value in metrics.items()})
        if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the file, whole."""
        if self.rows:
            blank = dict.fromkeys(sorted({name for row in self.rows.values() for name in row}), "")
            write_csv(self.path, [{"step": step, **blank, **self.rows[step]} for step in sorted(self.rows)])
        self._written = time.monotonic()

    def finalize(self, status: str) -> None:
        """Write what has not been written."""
        self.save()
