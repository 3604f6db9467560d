"""impasto evaluate: the comparisons of the papers, measured cell by cell, as a table and a picture."""

import logging
import shlex
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from impasto.build.comparison import build_comparison
from impasto.build.settings import plain
from impasto.commands.wandb_logger import wandb_logger
from impasto.evaluation.comparison import run_comparison
from impasto.hardware import check_device
from impasto.launch.resume import begin_again
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted
from impasto.tracking.tables import log_pictures, log_table

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Measure the comparison that is configured; write `<name>.json`, `.csv`, `.md` and `.png`, and the same to W&B."""
    check_device(cfg.device)
    comparison = build_comparison(cfg)
    folder = Path(cfg.folder)
    log.info("run folder: %s", folder)
    try:
        about = {"keys": plain(cfg.evaluation), **comparison.about()}
        begin_again(cfg)
        with Bar(total=len(comparison.cells())) as bar:
            table, pictures = run_comparison(
                comparison, folder, about=about, resume=bool(cfg.resume), progress=bar.update
            )
    except KeyboardInterrupt as error:
        go_on = f"impasto {HydraConfig.get().job.config_name} resume={shlex.quote(str(folder))}"
        raise Interrupted(f"stopped; what is finished is saved; go on with: {go_on}") from error
    logger, name = wandb_logger(cfg), f"evaluate/{comparison.name}"
    log_table(logger, name, table.rows, bars=table.bars)
    if pictures:
        log_pictures(logger, f"{name}_picture", pictures, [path.stem for path in pictures])
    log.info("%s", table.text)
