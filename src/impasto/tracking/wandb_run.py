"""Weights & Biases: offline inside the run folder by default, and never the reason that a run is lost."""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from impasto.redaction import without_secrets
from impasto.suggest import did_you_mean

log = logging.getLogger(__name__)

_MODES = ("offline", "online", "disabled")


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


def start_wandb(
    options: WandbOptions, *, folder: Path, run_id: str, name: str, config: Mapping[str, Any]
) -> WandbLogger:
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
) -> WandbLogger:
    import wandb

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
            settings=wandb.Settings(init_timeout=options.init_timeout, console="off", silent=True),
            config=dict(config),
            resume="allow" if mode == "online" else None,
        )
    finally:
        sys.argv = words
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return WandbLogger(experiment=run)
