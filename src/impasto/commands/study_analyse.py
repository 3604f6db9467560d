"""impasto study analyse: what the raters said."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from impasto.build.settings import Folder, Settings
from impasto.commands.wandb_logger import wandb_logger
from impasto.study.analysis import Analysis, analyse
from impasto.study.answers import read_answers
from impasto.study.findings import simulated_note, write_findings
from impasto.study.plan import Study, by_photograph, image_file, lost_pictures, name_some, read_study
from impasto.tracking.tables import log_pictures, log_table

log = logging.getLogger(__name__)


class AnalyseSettings(Settings):
    """What `impasto study analyse` takes for itself, as in conf/study_analyse.yaml."""

    study: Folder
    output: Folder
    seed: int


def run(cfg: DictConfig) -> None:
    """Write `study.md`, `study.png`, `analysis.json` and the tables; log them with the pictures that were shown."""
    given = AnalyseSettings.read(cfg)
    if (given.output / "study.json").exists():
        raise ValueError(f"output={given.output} is a study, whose raters.csv would be overwritten; give another")
    study = read_study(given.study)
    answers = read_answers(given.study, study.id)
    if lost := lost_pictures(study, given.study):
        log.warning("pictures of the study are lost: %s", name_some(lost))
    analysis = analyse(study, answers, seed=given.seed)
    text = write_findings(given.output, study, analysis, answers)
    shown = {name: image_file(given.study, name) for name in study.stimuli if name not in lost}
    _log_to_wandb(cfg, study, analysis, shown, given.output / "study.png")
    log.info("%s", text)


def _log_to_wandb(cfg: DictConfig, study: Study, analysis: Analysis, shown: Mapping[str, Path], plot: Path) -> None:
    """Log tables, plot, and the pictures that can still be shown with their results."""
    logger = wandb_logger(cfg)
    note = simulated_note(analysis)
    for name in ("methods", "comparisons", "raters"):
        rows = [{**row._asdict(), "note": note} for row in getattr(analysis, name)]
        log_table(logger, f"study/{name}", rows, picture=plot if name == "methods" else None)
    found = {row.picture: row for row in analysis.pictures if row.answers and row.picture in shown}
    results: list[dict[str, Any]] = []
    for photograph, names in by_photograph(study).items():
        rows_here = [found[name] for name in names if name in found]
        results += [{**row._asdict(), "picture": shown[row.picture], "note": note} for row in rows_here]
        if rows_here:
            captions = [f"{row.method}: {row.chosen} of {row.answers} {note}".strip() for row in rows_here]
            log_pictures(logger, f"study/pictures/{photograph}", [shown[row.picture] for row in rows_here], captions)
    log_table(logger, "study/results", results)
