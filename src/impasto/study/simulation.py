"""Simulated raters with known preferences: to prove the analysis, and to try a study before people see it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from impasto.study.answers import Answer
from impasto.study.folder import CATCH, Study, Trial

_MEDIAN_SECONDS, _SPREAD_SECONDS = 1.8, 0.5  # of an answer; the spread is that of its logarithm
_CARELESS_SECONDS = 0.6


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """What simulated raters think."""

    values: Mapping[str, float]  # by method: the probability that it is called natural, or its Bradley-Terry strength
    rater_spread: float  # deviation of a rater's log-odds: one draw for single pictures, one a method for pairs
    careless: float  # share of the raters who answer at random and fast


def simulate_rater(study: Study, rater: int, preferences: Preferences, *, seed: int) -> list[Answer]:
    """Answer a whole session; `seed` and the rater's number, from 1, determine every answer.

    Raises:
        ValueError: preferences that do not fit the study's methods.
    """
    values = preferences.values
    if set(values) != set(study.methods):
        raise ValueError(f"expected a value for each of {', '.join(study.methods)}, got {', '.join(values) or 'none'}")
    if study.question.pictures == 1 and not all(0 <= value <= 1 for value in values.values()):
        raise ValueError(f"expected probabilities between 0 and 1, got {dict(values)}")
    generator = np.random.default_rng((seed, rater))
    careless = generator.random() < preferences.careless
    draws = generator.normal(0, 1, len(study.methods)) * preferences.rater_spread
    if study.question.pictures == 1:
        draws[:] = draws[0]
    shift = dict(zip(study.methods, draws, strict=True))
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
