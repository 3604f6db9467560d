"""The logger of one command: what logger= chose, with the run's name and the command's own configuration."""

import sys
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.commands import log
from impasto.redaction import without_secrets


def wandb_logger(cfg: DictConfig, *, suffix: str = "", name: str = "") -> Any:  # noqa: ANN401 (a logger of Lightning's)
    """Start the run of the chosen logger, one of `impasto.tracking`; the same id continues the same run.

    A command with several runs gives each a suffix of the id, and a name to be shown before it. None comes back where
    the user wants none (logger=csv), or where names are not UTF-8, which dashboards refuse.
    """
    if cfg.logger is None:
        return None
    folder = Path(cfg.folder)
    try:
        "".join([str(folder.absolute()), *sys.argv]).encode()
    except UnicodeEncodeError:
        log.warning("dashboards take only names in UTF-8: this run is in metrics.csv alone")
        return None
    config: Any = OmegaConf.to_container(OmegaConf.create(without_secrets(OmegaConf.to_yaml(cfg, resolve=True))))
    run_id = f"{cfg.run_id}{suffix}"
    return instantiate(cfg.logger)(folder=folder, run_id=run_id, name=f"{name or cfg.name}_{run_id}", config=config)
