"""Weights & Biases: offline inside the run folder by default, and never the reason that a run is lost."""

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(_PATIENCE))  # which wandb reads when it is imported


class RunLogger(WandbLogger):
    """Lightning's logger of a W&B run; whatever W&B meets, the run goes on.

    Args:
        run: of W&B.
    """

    def __init__(self, run: Any) -> None:  # noqa: ANN401 (its type needs an import that takes a second)
        super().__init__(experiment=run)
        self._run, self._lost, self._has_steps = run, False, False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers, tables and pictures; once W&B has been lost, numbers alone, which wait on the disk for a sync.

        Args:
            metrics: by name.
            step: of the training; None of what has none.
        """
        if self._lost:
            metrics = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        if step is not None and not self._has_steps:
            self._attempt(self._define_steps)
        if metrics:
            self._attempt(lambda: super(RunLogger, self).log_metrics(metrics, step))

    def summarise(self, figures: Mapping[str, float | str]) -> None:
        """Put figures beside the run's name, where runs are compared."""
        self._attempt(lambda: self._run.summary.update(figures))

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
        if time.monotonic() - begin > _PATIENCE:
            problem = problem or f"no answer for {_PATIENCE} s"
        if problem and not self._lost:
            self._lost = True
            log.warning("W&B is lost (%s); the run goes on, and its folder has everything", problem)


@dataclass(frozen=True, kw_only=True)
class WandbOptions:
    """What a user chooses of W&B.

    Attributes:
        mode: "offline", "online" or "disabled".
        project: name of the project.
        entity: account or team; None takes the account's default.
        group: collects runs; None for none.
        tags: for filtering.
        init_timeout: seconds to wait for the server before the run goes on offline.
    """

    mode: str
    project: str
    entity: str | None
    group: str | None
    tags: list[str]
    init_timeout: float

    def __post_init__(self) -> None:
        """Refuse an unknown mode."""
        if self.mode not in _MODES:
            raise ValueError(f"unknown logger.mode '{self.mode}'{did_you_mean(self.mode, _MODES)}")


def start_wandb(options: WandbOptions, *, folder: Path, run_id: str, name: str, config: Mapping[str, Any]) -> RunLogger:
    """Start a W&B run whose files, staged tables included, all lie in the run folder.

    Args:
        options: what the user chose.
        folder: the run folder.
        run_id: W&B's id; the same id continues the same run.
        name: shown in the dashboard.
        config: resolved, plain Python.

    Returns:
        Lightning's logger; offline if "online" cannot be had, which is logged.
    """
    import wandb

    os.environ["WANDB_DATA_DIR"] = str(folder / "wandb")  # images of tables would land in the home folder (wandb 0.31)
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    mode = options.mode
    if mode == "online" and not _has_credentials():
        log.warning("W&B: no API key, so this run is logged offline; log in with 'wandb login', then 'wandb sync'")
        mode = "offline"
    try:
        return _start(mode, options, folder=folder, run_id=run_id, name=name, config=config)
    except wandb.errors.Error as error:
        if mode != "online":
            raise
        log.warning("W&B cannot be reached (%s), so this run is logged offline; 'wandb sync' sends it later", error)
        wandb.teardown()
        return _start("offline", options, folder=folder, run_id=run_id, name=name, config=config)


def _has_credentials() -> bool:
    import wandb

    try:
        return wandb.login(prompt=False, verify=False)
    except wandb.errors.Error:
        return False


def _start(
    mode: str, options: WandbOptions, *, folder: Path, run_id: str, name: str, config: Mapping[str, Any]
) -> RunLogger:
    import wandb

    logging.getLogger("wandb").propagate = False  # its own file has what it logs, tracebacks included
    logged = _logged_rows(folder, run_id) if mode == "offline" else 0
    words = sys.argv
    sys.argv = [without_secrets(word) for word in words]  # which W&B records
    try:
        run = wandb.init(
            project=options.project,
            entity=options.entity,
            group=options.group,
            tags=list(options.tags),
            name=name,
            id=run_id,
            dir=str(folder),
            mode=mode,  # type: ignore[arg-type]  # not the variable WANDB_MODE, which would hold for the whole process
            settings=wandb.Settings(
                init_timeout=options.init_timeout, finish_timeout=_LAST_UPLOAD, console="off", silent=True
            ),
            config=dict(config),
            resume="allow" if mode == "online" else None,
        )
    finally:
        sys.argv = words
    if logged:
        run.log({}, step=logged, commit=False)  # offline W&B counts from 0 again
    return RunLogger(run)


def _logged_rows(folder: Path, run_id: str) -> int:
    """Return how many rows the earlier starts of a run have logged, by the newest of which any is on the disk."""
    found = (folder / "wandb").glob(f"*run-*/run-{run_id}.wandb")
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path.parent)]
        told = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stdout
        if steps := [int(step) for step in re.findall(r'"_step": ?"?(\d+)', told)]:
            return max(steps) + 1
    return 0
