"""Where a run's numbers and pictures go: metrics.csv always; W&B, TensorBoard or trackio as logger= says."""

import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder
from impasto.suggest import did_you_mean
from impasto.tables import write_csv

log = logging.getLogger(__name__)

Row = Mapping[str, Any]

_SECONDS_BETWEEN_WRITES = 5.0  # of metrics.csv
_MODES = ("offline", "online", "disabled")  # of W&B
_PATIENCE = 5  # seconds to wait for W&B's answer to one request
_LAST_UPLOAD = 15.0  # seconds for what is not sent yet when a run ends; 'wandb sync' sends the rest
_STEP = "trainer/global_step"
_STEPS_OF_A_START = 10_000_000  # more than one start of a run logs; offline W&B counts from 0 at each

os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(_PATIENCE))  # which wandb reads when it is imported


class MetricsFile(Logger):
    """metrics.csv: a row a step, a column a metric, blank where it was not logged; a resumed run continues it.

    Lightning's CSVLogger deletes the file of an earlier start in the same folder.
    """

    name, version = "csv", ""  # not used for paths

    def __init__(self, folder: Path) -> None:
        super().__init__()
        run = RunFolder(folder)
        self.path, self._written = run.metrics_file, time.monotonic()
        self.rows: dict[int, dict[str, float]] = {}
        for name, curve in run.read_metrics().items() if self.path.is_file() else ():
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


class WandbRun(WandbLogger):
    """Lightning's logger of a W&B run; whatever W&B meets, the run goes on."""

    def __init__(self, run: Any) -> None:  # noqa: ANN401 (its type needs an import that takes a second)
        super().__init__(experiment=run)
        self._run, self._lost, self._has_steps = run, False, False

    @rank_zero_only
    def log_metrics(self, metrics: Row, step: int | None = None) -> None:
        """Log numbers, tables and pictures; once W&B has been lost, numbers alone, which wait for a sync."""
        if self._lost:
            metrics = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        begin, problem = time.monotonic(), ""
        try:
            if step is not None and not self._has_steps:
                self._has_steps = True
                self._run.define_metric(_STEP)
                self._run.define_metric("*", step_metric=_STEP, step_sync=True)
            if metrics:
                super().log_metrics(metrics, step)
        except Exception as error:  # no server, or W&B's own process is gone: anything may come
            problem = str(error) or type(error).__name__
        if not problem and time.monotonic() - begin > _PATIENCE:
            problem = f"no answer for {_PATIENCE} s"
        if problem and not self._lost:
            self._lost = True
            log.warning("W&B is lost (%s); the run goes on, and its folder has everything", problem)

    def log_rows(self, name: str, rows: Sequence[Row], *, bars: tuple[str, str] | None = None) -> None:
        """Log rows as a table in which a Path is shown as a picture, and as a bar chart of two of its columns."""
        import wandb

        cells = [[row[column] for column in rows[0]] for row in rows]
        data = [[wandb.Image(str(cell)) if isinstance(cell, Path) else cell for cell in line] for line in cells]
        table = wandb.Table(columns=list(rows[0]), data=data)
        chart = {} if bars is None else {f"{name}_chart": wandb.plot.bar(table, *bars, title=name)}
        self.log_metrics({name: table, **chart})


def start_wandb(
    *,
    folder: Path,
    run_id: str,
    name: str,
    config: Row,
    mode: str,
    project: str,
    entity: str | None,
    group: str | None,
    tags: Sequence[str],
    init_timeout: float,
) -> WandbRun:
    """Start a W&B run, or continue that of the same id; its files, staged tables included, all lie in the run folder.

    Where `mode="online"` cannot be had within `init_timeout` seconds, the run is logged offline, and says so.
    """
    if mode not in _MODES:
        raise ValueError(f"unknown logger.mode '{mode}'{did_you_mean(mode, _MODES)}")
    import wandb

    os.environ["WANDB_DATA_DIR"] = str(folder / "wandb")  # images of tables would land in the home folder (wandb 0.31)
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    logging.getLogger("wandb").propagate = False  # its own file has what it logs, tracebacks included
    options: dict[str, Any] = {"id": run_id, "name": name, "dir": str(folder), "config": dict(config)}
    options |= {"project": project, "entity": entity, "group": group, "tags": list(tags)}
    if mode == "online":
        try:
            if not wandb.login(prompt=False, verify=False):
                raise wandb.errors.UsageError("no API key; 'wandb login' takes one")
            return WandbRun(_init(mode, init_timeout, options))
        except wandb.errors.Error as error:
            log.warning("W&B cannot be reached (%s), so this run is logged offline; 'wandb sync' sends it later", error)
            wandb.teardown()
            mode = "offline"
    return WandbRun(_init(mode, init_timeout, options))


def _init(mode: Any, init_timeout: float, options: dict[str, Any]) -> Any:  # noqa: ANN401
    import wandb

    starts = len(list(Path(options["dir"]).glob(f"wandb/offline-run-*/run-{options['id']}.wandb")))
    settings = wandb.Settings(init_timeout=init_timeout, finish_timeout=_LAST_UPLOAD, console="off", silent=True)
    words = sys.argv
    sys.argv = [without_secrets(word) for word in words]  # which W&B records
    try:  # mode= and not the variable WANDB_MODE, which would hold for the whole process
        run = wandb.init(mode=mode, settings=settings, resume="allow" if mode == "online" else None, **options)
    finally:
        sys.argv = words
    if starts and mode == "offline":
        run.log({}, step=starts * _STEPS_OF_A_START, commit=False)
    return run


class TensorBoardRun(TensorBoardLogger):
    """Lightning's logger of TensorBoard, with pictures, in the run folder's tensorboard/<name>."""

    def __init__(self, *, folder: Path, run_id: str, name: str, config: Row) -> None:
        super().__init__(save_dir=folder, name="tensorboard", version=name)
        self.log_hyperparams(dict(config))

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Any], step: int = 0, caption: Sequence[str] = ()) -> None:
        """Log pictures: files, or uint8 arrays (H, W, 3)."""
        for name, image in _named(key, images, caption):
            self.experiment.add_image(name, image, step, dataformats="HWC")


class TrackioRun(Logger):
    """A run in trackio's store (a folder), which `impasto dashboard` shows; a run of the same name is continued."""

    name, version = "trackio", ""  # not used for paths

    def __init__(
        self, *, folder: Path, run_id: str, name: str, config: Row, project: str, store: str, group: str | None
    ) -> None:
        super().__init__()
        self._trackio = import_trackio(Path(store))
        options: Row = {"resume": "allow", "embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        with contextlib.redirect_stdout(io.StringIO()):  # it says at every run how to look at it
            self.run = self._trackio.init(project, name, group, config=dict(config), **options)

    def log_hyperparams(self, *args: object, **kwargs: object) -> None:
        """Nothing: trackio has the configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Row, step: int | None = None) -> None:
        """Log numbers."""
        self.run.log(dict(metrics), step=step)

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Any], step: int | None = None, caption: Sequence[str] = ()) -> None:
        """Log pictures: files, or uint8 arrays (H, W, 3)."""
        self.log_metrics({n: self._trackio.Image(image) for n, image in _named(key, images, caption)}, step)


def import_trackio(store: Path) -> Any:  # noqa: ANN401 (a module without types)
    """Import trackio, which reads where its folder is when it is imported."""
    os.environ |= {"TRACKIO_DIR": str(store.expanduser().resolve()), "HF_HUB_OFFLINE": "1"}
    for name in ("TRACKIO_SERVER_URL", "TRACKIO_SPACE_ID", "TRACKIO_STORAGE_MODE"):  # would send the runs elsewhere
        os.environ.pop(name, None)
    import trackio

    return trackio


def show_trackio(project: str, store: Path, *, host: str, port: int) -> Any:  # noqa: ANN401 (trackio's server)
    """Serve the dashboard in the background, without rights to change it; the server's `close()` ends it."""
    show = import_trackio(store).show
    options: Row = {"open_browser": False, "block_thread": False, "share": False, "mcp_server": False}
    with contextlib.redirect_stdout(io.StringIO()):  # it would print an address with which the store can be changed
        server, *_ = show(project, host=host, server_port=port, **options)
    return server


def _named(key: str, images: Sequence[Any], captions: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    names = captions or [str(number) if len(images) > 1 else "" for number in range(len(images))]
    pixels = (np.asarray(Image.open(x).convert("RGB") if isinstance(x, str) else x) for x in images)
    return [(f"{key}/{name}".rstrip("/"), image) for name, image in zip(names, pixels, strict=True)]
