"""impasto study simulate: answers of simulated raters, to try a study before people do."""

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from impasto.study.answers import Answers, read_answers
from impasto.study.plan import Study, read_study
from impasto.study.simulation import Preferences, check_preferences, simulate_rater
from impasto.tracking.run_folder import Interrupted

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Answer the sessions of raters who have not begun; every answer is marked as simulated.

    Raises:
        ValueError: values that do not fit the methods, or fewer raters left than are asked for.
        FileNotFoundError: no study there.
        Interrupted: stopped by Ctrl-C; whoever was simulated whole or in part stays.
    """
    if cfg.seed is None:
        raise ValueError("simulated raters answer from a seed; expected seed=<a whole number>, got null")
    folder = Path(str(cfg.study)).expanduser()
    study = read_study(folder)
    told: Any = OmegaConf.to_object(cfg.preferences) if OmegaConf.is_config(cfg.preferences) else cfg.preferences
    if told is None:
        told = _falling(study)
    if not isinstance(told, Mapping):
        raise ValueError(f"expected preferences={{<method>: <value>, ...}}, got {told}")
    preferences = Preferences(
        values={str(name): value for name, value in told.items()},
        rater_spread=cfg.rater_spread,
        careless=cfg.careless,
    )
    check_preferences(study, preferences)
    answered = read_answers(folder, study.id)
    if any(not answer.simulated for answer in answered):
        raise ValueError(f"people have begun to answer {folder}; simulate on a copy of the folder")
    begun = {answer.rater for answer in answered}
    free = [number for number in range(1, len(study.sessions) + 1) if number not in begun]
    if not free:
        raise ValueError(f"all {len(study.sessions)} raters of {folder} have begun; nobody is left to simulate")
    if cfg.raters is not None and not (isinstance(cfg.raters, int) and 1 <= cfg.raters <= len(free)):
        raise ValueError(f"expected raters between 1 and {len(free)}, who have not begun, got {cfg.raters}")
    free = free[: cfg.raters]
    answers = Answers(folder, study.id)
    try:
        for number in free:
            for answer in simulate_rater(study, number, preferences, seed=cfg.seed):
                answers.add(
                    answer.rater,
                    answer.position,
                    answer.answer,
                    milliseconds=answer.milliseconds,
                    simulated=True,
                )
    except KeyboardInterrupt as error:
        raise Interrupted("stopped; the raters simulated so far are kept") from error
    finally:
        answers.close()
    shown = ", ".join(f"{name} {value:.2f}" for name, value in preferences.values.items())
    log.info("%d raters simulated, with %s", len(free), shown)
    log.info("their sessions are used up: for people create the study again, or simulate on a copy of the folder")
    log.info("next: impasto study analyse %s", shlex.quote(str(folder)))


def _falling(study: Study) -> dict[str, float]:
    """Values that fall evenly in the order of the methods: 0.9 to 0.1, or strengths from 1 to -1."""
    first, last = (0.9, 0.1) if study.question.pictures == 1 else (1.0, -1.0)
    steps = max(1, len(study.methods) - 1)
    return {name: first + (last - first) * place / steps for place, name in enumerate(study.methods)}
