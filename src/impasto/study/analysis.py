"""What the answers of a study say about its methods."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from impasto.study.answers import Answer
from impasto.study.plan import RATED, Study
from impasto.study.raters import Rater, describe_raters
from impasto.study.statistics import (
    Array,
    bradley_terry_interval,
    holm,
    krippendorff_alpha,
    paired_test,
    wilson_over_raters,
)

_RESAMPLES = 2000


class MethodRow(NamedTuple):
    """One method.

    Attributes:
        method: its name.
        answers: in which it was judged.
        chosen: of those, "natural", or preferred to the other.
        share: chosen of answers; None without any.
        low: of Wilson's 95 % interval, raters taken as clusters; None with fewer than two raters.
        high: likewise.
        strength: Bradley-Terry, log-odds against the average method; None for single pictures and without answers.
        strength_low: of the 95 % bootstrap interval.
        strength_high: likewise.
    """

    method: str
    answers: int
    chosen: int
    share: float | None
    low: float | None
    high: float | None
    strength: float | None
    strength_low: float | None
    strength_high: float | None


class Comparison(NamedTuple):
    """Two methods compared.

    Attributes:
        first: a method.
        second: another.
        difference: mean over raters of the first's share less the second's.
        raters: who judged both.
        p: two-sided, of the paired permutation test over raters; None with fewer than two raters.
        p_corrected: by Holm, for all pairs of the study.
    """

    first: str
    second: str
    difference: float | None
    raters: int
    p: float | None
    p_corrected: float | None


class PictureRow(NamedTuple):
    """One picture that was shown.

    Attributes:
        picture: its id.
        photograph: its name.
        method: whose.
        answers: in which it was judged.
        chosen: of those.
        share: chosen of answers; None without any.
    """

    picture: str
    photograph: str
    method: str
    answers: int
    chosen: int
    share: float | None


class Analysis(NamedTuple):
    """All that is reported of a study.

    Attributes:
        methods: in the order of the study.
        comparisons: every two methods.
        pictures: every picture that raters judged.
        raters: everyone who has answered anything, with those who are left out.
        alpha: Krippendorff's, between the raters who are kept; None where it cannot be told.
        answers: of all raters, catch trials and repeats included.
        expected_answers: when all raters will have finished.
        simulated: raters of whom any answer is simulated.
    """

    methods: list[MethodRow]
    comparisons: list[Comparison]
    pictures: list[PictureRow]
    raters: list[Rater]
    alpha: float | None
    answers: int
    expected_answers: int
    simulated: int


class _Choice(NamedTuple):
    """A judged picture within an answer: whether it was chosen, and over which other."""

    rater: int
    picture: str
    method: int
    other: int | None
    chosen: int


def analyse(study: Study, answers: Sequence[Answer], *, seed: int, resamples: int = _RESAMPLES) -> Analysis:
    """Analyse a study, finished or in progress.

    Only the first showing of a trial counts: repeats and catch trials tell about raters, not about methods.

    Args:
        study: as it was created.
        answers: so far.
        seed: of permutations and resamples.
        resamples: of the bootstrap.

    Raises:
        ValueError: answers of another study.
    """
    raters = describe_raters(study, answers)
    kept = {rater.rater for rater in raters if not rater.dropped}
    choices = [choice for answer in answers if answer.rater in kept for choice in _choices(study, answer)]
    return Analysis(
        methods=_methods(study, choices, seed, resamples),
        comparisons=_comparisons(study, choices, seed),
        pictures=_pictures(study, choices),
        raters=raters,
        alpha=krippendorff_alpha(_agreement(choices), chance=0.5 if study.question.pictures == 2 else None),
        answers=len(answers),
        expected_answers=sum(map(len, study.sessions)),
        simulated=sum(rater.simulated for rater in raters),
    )


def _choices(study: Study, answer: Answer) -> list[_Choice]:
    """Return the pictures that were judged: one, or the pair."""
    trial = study.sessions[answer.rater - 1][answer.position]
    if trial.kind != RATED:
        return []
    methods = [study.methods.index(str(study.stimuli[picture].method)) for picture in trial.pictures]
    if len(methods) == 1:
        return [_Choice(answer.rater, trial.pictures[0], methods[0], None, answer.answer)]
    return [
        _Choice(answer.rater, trial.pictures[side], methods[side], methods[1 - side], int(answer.answer == side))
        for side in (0, 1)
    ]


def _methods(study: Study, choices: Sequence[_Choice], seed: int, resamples: int) -> list[MethodRow]:
    strengths = _strengths(study, choices, seed, resamples)
    rows = []
    for number, name in enumerate(study.methods):
        judged = Counter(choice.rater for choice in choices if choice.method == number)
        chosen = Counter(choice.rater for choice in choices if choice.method == number and choice.chosen)
        count, successes = judged.total(), chosen.total()
        if not count:
            rows.append(MethodRow(name, 0, 0, None, None, None, None, None, None))
            continue
        low, high = wilson_over_raters([chosen[rater] for rater in judged], list(judged.values())) or (None, None)
        rows.append(MethodRow(name, count, successes, successes / count, low, high, *strengths[number]))
    return rows


def _strengths(study: Study, choices: Sequence[_Choice], seed: int, resamples: int) -> list[tuple[float | None, ...]]:
    """Return strength and interval of each method; None for single pictures, and where there is nothing to tell."""
    methods, raters = len(study.methods), sorted({choice.rater for choice in choices})
    if study.question.pictures == 1 or not raters:
        return [(None, None, None)] * methods
    wins: Array = np.zeros((len(raters), methods, methods))
    for choice in choices:
        if choice.chosen:
            wins[raters.index(choice.rater), choice.method, choice.other] += 1
    found = bradley_terry_interval(wins, resamples=resamples, seed=seed)
    return [tuple(float(v) if np.isfinite(v) else None for v in row) for row in zip(*found, strict=True)]


def _comparisons(study: Study, choices: Sequence[_Choice], seed: int) -> list[Comparison]:
    pairs = list(combinations(range(len(study.methods)), 2))
    shares = _shares(choices)
    differences = []
    for first, second in pairs:
        if study.question.pictures == 2:  # the pair was shown: how far the first won more than it lost
            found = [2 * wins[first, second] - 1 for wins in shares.values() if (first, second) in wins]
        else:
            found = [
                own[first, None] - own[second, None]
                for own in shares.values()
                if (first, None) in own and (second, None) in own
            ]
        differences.append(found)
    p_values = [paired_test(found, seed=seed) for found in differences]
    return [
        Comparison(
            study.methods[a], study.methods[b], float(np.mean(found)) if found else None, len(found), p, corrected
        )
        for (a, b), found, p, corrected in zip(pairs, differences, p_values, holm(p_values), strict=True)
    ]


def _shares(choices: Sequence[_Choice]) -> dict[int, dict[tuple[int, int | None], float]]:
    """Return each rater's share of choosing a method, over each other one where pairs were shown."""
    answers: dict[int, dict[tuple[int, int | None], list[int]]] = defaultdict(lambda: defaultdict(list))
    for choice in choices:
        answers[choice.rater][choice.method, choice.other].append(choice.chosen)
    return {rater: {key: float(np.mean(own)) for key, own in keys.items()} for rater, keys in answers.items()}


def _pictures(study: Study, choices: Sequence[_Choice]) -> list[PictureRow]:
    judged = Counter(choice.picture for choice in choices)
    chosen = Counter(choice.picture for choice in choices if choice.chosen)
    return [
        PictureRow(
            name,
            stimulus.photograph,
            stimulus.method,
            judged[name],
            chosen[name],
            chosen[name] / judged[name] if judged[name] else None,
        )
        for name, stimulus in study.stimuli.items()
        if stimulus.method is not None
    ]


def _agreement(choices: Sequence[_Choice]) -> Array:
    """Count answers by unit: a picture, or a pair of a photograph whichever side its methods were on.

    A pair counts from both its pictures, so that the order of methods does not matter: chance is the toss of a coin.
    """
    units: dict[tuple[str, int | None], list[int]] = defaultdict(lambda: [0, 0])
    for choice in choices:
        units[choice.picture, choice.other][choice.chosen] += 1
    return np.asarray(list(units.values()), dtype=np.float64).reshape(-1, 2)
