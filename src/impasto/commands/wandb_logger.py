"""The logger of one command: what logger= chose, with the run's name and the command's own configuration."""

import logging
import sys
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.redaction import without_secrets


def wandb_logger(cfg: DictConfig, *, run_id: str, name: str) -> Any:  # noqa: ANN401 (a logger of Lightning's)
    """Start the run of the chosen logger.

    Args:
        cfg: of the command.
        run_id: the same id continues the same run.
        name: shown in the dashboard.

    Returns:
        Of `impasto.tracking`; None where the user wants none (logger=csv), or it cannot take the
        names that were given.
    """
    if cfg.logger is None or not _is_utf8(str(Path(cfg.folder).absolute()), *sys.argv):
        return None
    config: Any = OmegaConf.to_container(OmegaConf.create(without_secrets(OmegaConf.to_yaml(cfg, resolve=True))))
    return instantiate(cfg.logger)(folder=Path(cfg.folder), run_id=run_id, name=name, config=config)


def _is_utf8(*words: str) -> bool:
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        logging.getLogger(__name__).warning("dashboards take only names in UTF-8: this run is in metrics.csv alone")
        return False
    return True
