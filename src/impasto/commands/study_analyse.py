"""impasto study analyse: what the raters said."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from impasto.commands.wandb_logger import wandb_logger
from impasto.study.analysis import Analysis, analyse
from impasto.study.answers import read_answers
from impasto.study.findings import simulated_note, write_findings
from impasto.study.plan import Study, by_photograph, image_file, lost_pictures, read_study
from impasto.tracking.tables import log_pictures, log_table

log = logging.getLogger(__name__)

_SHOWN = 5  # lost pictures that are named


def run(cfg: DictConfig) -> None:
    """Write `study.md`, `study.png`, `analysis.json` and the tables; log them with the pictures that were shown.

    Raises:
        FileNotFoundError: no study there.
        ValueError: the study or its answers are damaged.
    """
    folder = Path(str(cfg.study)).expanduser()
    study, answers = read_study(folder), read_answers(folder)
    if lost := lost_pictures(study, folder):
        more = f"; and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        log.warning("pictures of the study are gone or were changed: %s%s", "; ".join(lost[:_SHOWN]), more)
    analysis = analyse(study, answers, seed=cfg.seed)
    text = write_findings(Path(str(cfg.output)), study, analysis, answers)
    _log_to_wandb(cfg, study, analysis, folder)
    log.info("%s", text)


def _log_to_wandb(cfg: DictConfig, study: Study, analysis: Analysis, folder: Path) -> None:
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    if logger is None:
        return
    note = simulated_note(analysis)
    for name in ("methods", "comparisons", "raters"):
        rows = [{**row._asdict(), "note": note} for row in getattr(analysis, name)]
        picture = Path(str(cfg.output)) / "study.png" if name == "methods" else None
        log_table(logger, f"study/{name}", rows, picture=picture)
    found = {row.picture: row for row in analysis.pictures if row.answers and image_file(folder, row.picture).is_file()}
    results: list[dict[str, Any]] = []
    for photograph, names in by_photograph(study).items():
        rows_here = [found[name] for name in names if name in found]
        files = [image_file(folder, row.picture) for row in rows_here]
        results += [
            {**row._asdict(), "picture": file, "note": note} for row, file in zip(rows_here, files, strict=True)
        ]
        captions = [f"{row.method}: {row.chosen} of {row.answers} {note}".strip() for row in rows_here]
        if files:
            log_pictures(logger, f"study/pictures/{photograph}", files, captions)
    log_table(logger, "study/results", results)
