"""Simulated raters with known preferences: to prove the analysis, and to try a study before people see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from impasto.study.answers import Answer
from impasto.study.design import Slot
from impasto.study.plan import CATCH, Question, Rule, Stimulus, Study, Trial

_MEDIAN_SECONDS, _SPREAD_SECONDS = 1.8, 0.5  # of an answer; the spread is that of its logarithm
_CARELESS_SECONDS = 0.6


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """What simulated raters think.

    Attributes:
        values: by method: the probability that a picture of it is called natural, or its Bradley-Terry strength.
        rater_spread: standard deviation of what a rater's log-odds differ by, the same for all methods of single
            pictures, one a method for pairs.
        careless: share of the raters who answer at random and fast.
    """

    values: Mapping[str, float]
    rater_spread: float
    careless: float


def imagined_study(sessions: Sequence[Sequence[Slot]], methods: Sequence[str], question: Question, rule: Rule) -> Study:
    """Make a study whose pictures do not exist: simulated raters need none.

    Args:
        sessions: as `design_sessions` lays them out.
        methods: their names.
        question: what is asked.
        rule: who is left out.
    """
    stimuli: dict[str, Stimulus] = {}

    def picture(photograph: int, number: int | None) -> str:
        name = f"photograph{photograph}{'spoiled' if number is None else f'method{number}'}"
        method = None if number is None else methods[number]
        stimuli[name] = Stimulus(photograph=f"photograph {photograph}", method=method, width=1, height=1, sha256="")
        return name

    trials = [
        [
            Trial(
                kind=slot.kind,
                pictures=tuple(picture(slot.photograph, number) for number in slot.methods),
                of=slot.of,
                expected=slot.expected,
            )
            for slot in session
        ]
        for session in sessions
    ]
    return Study(
        title="imagined",
        question=question,
        methods=tuple(methods),
        stimuli=stimuli,
        sessions=trials,
        rule=rule,
        break_every=None,
        seed=0,
        created="",
    )


def simulate_rater(study: Study, rater: int, preferences: Preferences, *, seed: int) -> list[Answer]:
    """Answer a whole session.

    Args:
        study: the study.
        rater: whose session, from 1.
        preferences: known ones.
        seed: with the rater's number it determines every answer.

    Returns:
        Answers in the order of the session, all marked as simulated.

    Raises:
        ValueError: preferences that do not fit the study's methods.
    """
    check_preferences(study, preferences)
    generator = np.random.default_rng((seed, rater))
    careless = generator.random() < preferences.careless
    shift = dict(zip(study.methods, generator.normal(0, 1, len(study.methods)) * preferences.rater_spread, strict=True))
    if study.question.pictures == 1:
        shift = dict.fromkeys(study.methods, shift[study.methods[0]])
    answers: list[Answer] = []
    for position, trial in enumerate(study.sessions[rater - 1]):
        chance = 0.5 if careless else _chance(study, trial, preferences, shift)
        middle = _CARELESS_SECONDS if careless else _MEDIAN_SECONDS
        seconds = middle * np.exp(generator.normal(0, _SPREAD_SECONDS))
        answer = int(generator.random() < chance)
        answers.append(Answer(rater, position, answer, round(1000 * seconds), 0, "", simulated=True))
    return answers


def _chance(study: Study, trial: Trial, preferences: Preferences, shift: Mapping[str, float]) -> float:
    """Return the probability of the second answer: natural, or the right picture."""
    if trial.kind == CATCH:
        return float(trial.expected or 0)
    methods = [str(study.stimuli[picture].method) for picture in trial.pictures]
    if len(methods) == 1:
        return float(expit(logit(preferences.values[methods[0]]) + shift[methods[0]]))
    left, right = (preferences.values[method] + shift[method] for method in methods)
    return float(expit(right - left))


def check_preferences(study: Study, preferences: Preferences) -> None:
    """Refuse preferences that do not fit a study.

    Raises:
        ValueError: not a number for each method, or a probability outside [0, 1].
    """
    values = preferences.values
    told = {**values, "rater_spread": preferences.rater_spread, "careless": preferences.careless}
    for name, value in told.items():
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"expected {name} to be a number, got {value}")
    if set(values) != set(study.methods):
        raise ValueError(f"expected a value for each of {', '.join(study.methods)}, got {', '.join(values) or 'none'}")
    if study.question.pictures == 1 and not all(0 <= value <= 1 for value in values.values()):
        raise ValueError(f"expected probabilities between 0 and 1, got {dict(values)}")
    if not 0 <= preferences.careless <= 1 or preferences.rater_spread < 0:
        raise ValueError(
            f"expected careless between 0 and 1 and rater_spread of at least 0, got {preferences.careless} and "
            f"{preferences.rater_spread}"
        )
