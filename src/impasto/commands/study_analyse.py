"""impasto study analyse: what the raters said."""

from typing import Any

from omegaconf import DictConfig

from impasto.build.settings import Folder, Settings
from impasto.commands import log
from impasto.commands.wandb_logger import log_table, wandb_logger
from impasto.study.analysis import analyse
from impasto.study.answers import read_answers
from impasto.study.findings import simulated_note, write_findings
from impasto.study.folder import image_file, lost_pictures, read_study


class _Settings(Settings):
    study: Folder
    output: Folder
    seed: int


def run(cfg: DictConfig) -> None:
    """Write `study.md`, `study.png`, `analysis.json` and the tables; log them with the pictures that were shown."""
    given = _Settings.read(cfg)
    if (given.output / "study.json").exists():
        raise ValueError(f"output={given.output} is a study, whose raters.csv would be overwritten; give another")
    study = read_study(given.study)
    answers = read_answers(given.study)
    if lost := lost_pictures(study, given.study):
        log.warning("%d pictures of the study are missing or changed, the first is %s", len(lost), lost[0])
    analysis = analyse(study, answers, seed=given.seed)
    text = write_findings(given.output, study, analysis, answers)
    logger, note = wandb_logger(cfg), simulated_note(analysis)
    for name in ("methods", "comparisons", "raters"):
        rows = [{**row._asdict(), "note": note} for row in getattr(analysis, name)]
        log_table(logger, f"study/{name}", rows, picture=given.output / "study.png" if name == "methods" else None)
    results: list[dict[str, Any]] = [
        {**row._asdict(), "picture": file, "note": note}
        for row in analysis.pictures
        if row.answers and (file := image_file(given.study, row.picture)) not in lost
    ]
    log_table(logger, "study/results", sorted(results, key=lambda row: row["photograph"]))
    log.info("%s", text)
