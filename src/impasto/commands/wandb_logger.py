"""W&B for one command: its options, name and configuration from the command's own configuration."""

import logging
import sys
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.redaction import without_secrets
from impasto.tracking.wandb_run import RunLogger, start_wandb


def wandb_logger(cfg: DictConfig, *, run_id: str, name: str) -> RunLogger | None:
    """Start the command's W&B run.

    Args:
        cfg: of the command.
        run_id: W&B's id; the same id continues the same run.
        name: shown in the dashboard.

    Returns:
        The logger; None where the user wants none (logger=csv), or W&B cannot take the names that were given.
    """
    if cfg.logger is None or not _is_utf8(str(Path(cfg.folder).absolute()), *sys.argv):
        return None
    config: Any = OmegaConf.to_container(OmegaConf.create(without_secrets(OmegaConf.to_yaml(cfg, resolve=True))))
    return start_wandb(instantiate(cfg.logger), folder=Path(cfg.folder), run_id=run_id, name=name, config=config)


def _is_utf8(*words: str) -> bool:
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        logging.getLogger(__name__).warning("W&B takes only names in UTF-8: this run is in metrics.csv alone")
        return False
    return True
