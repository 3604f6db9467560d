"""impasto evaluate: the comparisons of the papers, measured cell by cell, as a table and a picture."""

from pathlib import Path

from omegaconf import DictConfig

from impasto.build.comparison import build_comparison
from impasto.build.settings import plain
from impasto.commands import log
from impasto.commands.wandb_logger import log_pictures, log_table, wandb_logger
from impasto.evaluation.comparison import run_comparison
from impasto.hardware import check_device
from impasto.launch.resume import begin_again
from impasto.tracking.bar import Bar


def run(cfg: DictConfig) -> None:
    """Measure the comparison that is configured; write `<name>.json`, `.csv`, `.md` and `.png`, and the same to W&B."""
    check_device(cfg.device)
    comparison = build_comparison(cfg)
    folder = Path(cfg.folder)
    log.info("run folder: %s", folder)
    about = {"keys": plain(cfg.evaluation), **comparison.about()}
    begin_again(cfg)
    with Bar(total=len(comparison.cells())) as bar:
        table, pictures = run_comparison(comparison, folder, about=about, resume=bool(cfg.resume), progress=bar.update)
    logger, name = wandb_logger(cfg), f"evaluate/{comparison.name}"
    log_table(logger, name, table.rows, bars=table.bars)
    log_pictures(logger, f"{name}_picture", pictures)
    log.info("%s", table.text)
