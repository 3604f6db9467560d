"""logger=wandb: Weights & Biases, offline inside the run folder by default, and never the reason that a run is lost."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from impasto.redaction import without_secrets
from impasto.suggest import did_you_mean

log = logging.getLogger(__name__)

_MODES = ("offline", "online", "disabled")
_PATIENCE = 5  # seconds to wait for an answer to one request
_LAST_UPLOAD = 15.0  # seconds for what is not sent yet when a run ends; 'wandb sync' sends the rest
_STEP = "trainer/global_step"
_STEPS_OF_A_START = 10_000_000  # more than one start of a run logs; offline W&B counts from 0 at each

os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(_PATIENCE))  # which wandb reads when it is imported


class WandbRun(WandbLogger):
    """Lightning's logger of a W&B run; whatever W&B meets, the run goes on."""

    def __init__(self, run: Any) -> None:  # noqa: ANN401 (its type needs an import that takes a second)
        super().__init__(experiment=run)
        self._run, self._lost, self._has_steps = run, False, False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers, tables and pictures; once W&B has been lost, numbers alone, which wait for a sync."""
        if self._lost:
            metrics = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        if step is not None and not self._has_steps:
            self._attempt(self._define_steps)
        if metrics:
            self._attempt(lambda: super(WandbRun, self).log_metrics(metrics, step))

    def log_rows(self, name: str, rows: Sequence[Mapping[str, Any]], *, bars: tuple[str, str] | None = None) -> None:
        """Log rows as a table in which a Path is shown as a picture, and as a bar chart of two of its columns."""
        import wandb

        cells = [[row[column] for column in rows[0]] for row in rows]
        data = [[wandb.Image(str(cell)) if isinstance(cell, Path) else cell for cell in line] for line in cells]
        table = wandb.Table(columns=list(rows[0]), data=data)
        chart = {} if bars is None else {f"{name}_chart": wandb.plot.bar(table, *bars, title=name)}
        self.log_metrics({name: table, **chart})

    def _define_steps(self) -> None:
        self._has_steps = True
        self._run.define_metric(_STEP)
        self._run.define_metric("*", step_metric=_STEP, step_sync=True)

    def _attempt(self, act: Callable[[], None]) -> None:
        begin, problem = time.monotonic(), ""
        try:
            act()
        except Exception as error:  # no server, or W&B's own process is gone: anything may come
            problem = str(error) or type(error).__name__
        if not problem and time.monotonic() - begin > _PATIENCE:
            problem = f"no answer for {_PATIENCE} s"
        if problem and not self._lost:
            self._lost = True
            log.warning("W&B is lost (%s); the run goes on, and its folder has everything", problem)


def start_wandb(
    *,
    folder: Path,
    run_id: str,
    name: str,
    config: Mapping[str, Any],
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
