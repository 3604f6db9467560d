"""impasto evaluate: the comparisons of the papers, measured cell by cell, as a table and a picture."""

import logging
import shlex
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from impasto.build.task import require
from impasto.commands.settings import in_sentences
from impasto.commands.study_sources import source_of
from impasto.commands.wandb_logger import wandb_logger
from impasto.evaluation.comparison import Comparison, run_comparison
from impasto.hardware import check_device
from impasto.launch.resume import begin_again
from impasto.losses import PerceptualLoss
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted
from impasto.tracking.tables import log_pictures, log_table

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 30.0
_KINDS = {"style": None, "features": None, "loss": PerceptualLoss}  # what these groups must build
_GIVEN = {"build": instantiate, "source_of": source_of}  # to comparisons that have such a field


def run(cfg: DictConfig, *, command: str = "evaluate") -> None:
    """Measure the comparison that is configured; write `<name>.json`, `.csv`, `.md` and `.png`, and the same to W&B.

    Raises:
        ValueError: a key of the comparison that is wrong, or something that cannot be compared.
        Interrupted: stopped by Ctrl-C; says how to go on.
    """
    check_device(cfg.device)
    comparison = _build(cfg)
    keys: Any = OmegaConf.to_container(cfg.evaluation, resolve=True)
    folder = Path(cfg.folder)
    log.info("run folder: %s", folder)
    try:
        about = {"keys": keys, **comparison.about()}
        begin_again(cfg)
        with Bar(total=len(comparison.cells()), done=0, log_every_seconds=_LOG_EVERY_SECONDS) as bar:
            table, pictures = run_comparison(
                comparison, folder, about=about, resume=bool(cfg.resume), progress=bar.update
            )
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"stopped; what is finished is saved; go on with: impasto {command} resume={shlex.quote(str(folder))}"
        ) from error
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    name = f"evaluate/{comparison.name}"
    log_table(logger, name, table.rows, bars=table.bars)
    if pictures:
        log_pictures(logger, f"{name}_picture", pictures, [path.stem for path in pictures])
    log.info("%s", table.text)


def _build(cfg: DictConfig) -> Comparison:
    require(cfg, **{group: kind for group, kind in _KINDS.items() if group in cfg.evaluation})
    kind: type[Comparison] = get_class(cfg.evaluation._target_)
    given = {name: function for name, function in _GIVEN.items() if name in kind.model_fields}
    try:
        comparison: Comparison = instantiate(cfg.evaluation, **given, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ValidationError):
            raise ValueError(in_sentences(error.__cause__, within="evaluation.")) from error
        raise
    return comparison
