"""The logger of one command, what logger= chose; tables in W&B, and pictures in whichever dashboard it is."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.commands import log
from impasto.files import short_name
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


def log_table(
    logger: Any,  # noqa: ANN401 (what `wandb_logger` returns)
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    bars: tuple[str, str] | None = None,
    picture: Path | None = None,
) -> None:
    """Log rows as a table, with a bar chart (the columns of its labels and values) and a PNG where they are given.

    All rows have the same keys; a Path is the file of an image, which the table shows. `name` is "stage/name".
    """
    if rows and hasattr(logger, "log_rows"):
        logger.log_rows(name, rows, bars=bars)
    if rows and picture is not None:
        log_pictures(logger, f"{name}_plot", [picture])


def log_pictures(logger: Any, name: str, pictures: Sequence[Path]) -> None:  # noqa: ANN401
    """Log PNG files beside each other, each with its name, where an offline run's images are."""
    if logger is not None and pictures:
        logger.log_image(short_name(name), [str(file) for file in pictures], caption=[file.stem for file in pictures])
