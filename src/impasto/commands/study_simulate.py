"""impasto study simulate: answers of simulated raters, to try a study before people do."""

import shlex
from typing import Annotated

from omegaconf import DictConfig
from pydantic import Field

from impasto.build.settings import Count, Folder, Settings, Share, Text
from impasto.commands import log
from impasto.study.answers import Answers, read_answers
from impasto.study.folder import Study, read_study
from impasto.study.simulation import Preferences, simulate_rater
from impasto.tracking.recording import Interrupted

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Settings(Settings):
    study: Folder
    raters: Count | None
    preferences: dict[Text, Finite] | None
    rater_spread: Annotated[Finite, Field(ge=0)]
    careless: Share
    seed: int


def run(cfg: DictConfig) -> None:
    """Answer the sessions of raters who have not begun; every answer is marked as simulated."""
    given = _Settings.read(cfg)
    study = read_study(given.study)
    values = given.preferences
    if not values:  # falling evenly in the order of the methods
        first, last = (0.9, 0.1) if study.question.pictures == 1 else (1.0, -1.0)
        steps = max(1, len(study.methods) - 1)
        values = {name: first + (last - first) * place / steps for place, name in enumerate(study.methods)}
    preferences = Preferences(values=values, rater_spread=given.rater_spread, careless=given.careless)
    free = _free(given, study)
    answers = Answers(given.study)
    try:
        for number in free:
            for answer in simulate_rater(study, number, preferences, seed=given.seed):
                answers.add(*answer[:3], milliseconds=answer.milliseconds, simulated=True)
    except KeyboardInterrupt as error:
        raise Interrupted("stopped; the raters simulated so far are kept") from error
    log.info("%d raters simulated, with %s", len(free), ", ".join(f"{name} {values[name]:.2f}" for name in values))
    log.info("their sessions are used up: for people create the study again, or simulate on a copy of the folder")
    log.info("next: impasto study analyse %s", shlex.quote(str(given.study)))


def _free(given: _Settings, study: Study) -> list[int]:
    """List the raters to simulate: those who have not begun, where no people have."""
    answered = read_answers(given.study)
    if any(not answer.simulated for answer in answered):
        raise ValueError(f"people have begun to answer {given.study}; simulate on a copy of the folder")
    free = sorted(set(range(1, len(study.sessions) + 1)) - {answer.rater for answer in answered})
    if not free or len(free) < (given.raters or 0):
        raise ValueError(f"expected raters of at most {len(free)}, who have not begun in {given.study}")
    return free[: given.raters]
