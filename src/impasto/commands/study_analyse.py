"""impasto study analyse: what the raters said."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from impasto.commands.wandb_logger import wandb_logger
from impasto.study.analysis import Analysis, analyse
from impasto.study.answers import read_answers
from impasto.study.findings import simulated_note, write_findings
from impasto.study.plan import Study, by_photograph, image_file, name_some, picture_fault, read_study
from impasto.tracking.tables import log_pictures, log_table

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Write `study.md`, `study.png`, `analysis.json` and the tables; log them with the pictures that were shown.

    Raises:
        FileNotFoundError: no study there.
        ValueError: the study or its answers are damaged.
    """
    folder, output = Path(str(cfg.study)).expanduser(), Path(str(cfg.output)).expanduser()
    if (output / "study.json").exists():
        raise ValueError(f"output={output} is a study, whose raters.csv would be overwritten; give another")
    study = read_study(folder)
    answers = read_answers(folder, study.id)
    lost = {name: fault for name in study.stimuli if (fault := picture_fault(study, folder, name))}
    if lost:
        log.warning("pictures of the study are lost: %s", name_some(list(lost.values())))
    analysis = analyse(study, answers, seed=cfg.seed)
    text = write_findings(output, study, analysis, answers)
    shown = {name: image_file(folder, name) for name in study.stimuli if name not in lost}
    _log_to_wandb(cfg, study, analysis, shown, output / "study.png")
    log.info("%s", text)


def _log_to_wandb(cfg: DictConfig, study: Study, analysis: Analysis, shown: Mapping[str, Path], plot: Path) -> None:
    """Log tables, plot, and the pictures that can still be shown with their results."""
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    if logger is None:
        return
    note = simulated_note(analysis)
    for name in ("methods", "comparisons", "raters"):
        rows = [{**row._asdict(), "note": note} for row in getattr(analysis, name)]
        log_table(logger, f"study/{name}", rows, picture=plot if name == "methods" else None)
    found = {row.picture: row for row in analysis.pictures if row.answers and row.picture in shown}
    results: list[dict[str, Any]] = []
    for photograph, names in by_photograph(study).items():
        rows_here = [found[name] for name in names if name in found]
        files = [shown[row.picture] for row in rows_here]
        results += [
            {**row._asdict(), "picture": file, "note": note} for row, file in zip(rows_here, files, strict=True)
        ]
        captions = [f"{row.method}: {row.chosen} of {row.answers} {note}".strip() for row in rows_here]
        if files:
            log_pictures(logger, f"study/pictures/{photograph}", files, captions)
    log_table(logger, "study/results", results)
