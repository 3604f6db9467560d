"""What the answers of a study say about its methods, and about the raters, whom the rule may leave out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from statistics import median
from typing import NamedTuple

import numpy as np

from impasto.study import statistics
from impasto.study.answers import Answer
from impasto.study.folder import CATCH, RATED, Rule, Study
from impasto.study.statistics import Array

_RESAMPLES = 2000


class MethodRow(NamedTuple):
    """One method."""

    method: str
    answers: int  # in which it was judged
    chosen: int  # of those, "natural", or preferred to the other
    share: float | None = None  # chosen of answers; None without any
    low: float | None = None  # of Wilson's 95 % interval, raters taken as clusters; None with fewer than two raters
    high: float | None = None
    strength: float | None = None  # Bradley-Terry, log-odds against the average method; None for single pictures
    strength_low: float | None = None  # of the 95 % bootstrap interval
    strength_high: float | None = None


class Comparison(NamedTuple):
    """Two methods compared."""

    first: str
    second: str
    difference: float | None  # mean over raters of the first's share less the second's
    raters: int  # who judged both
    p: float | None  # two-sided, of the paired permutation test over raters; None with fewer than two raters
    p_corrected: float | None  # by Holm, for all pairs of the study


class PictureRow(NamedTuple):
    """One picture that was shown."""

    picture: str  # its id
    photograph: str
    method: str
    answers: int
    chosen: int
    share: float | None  # None without any


class Rater(NamedTuple):
    """What is known of a rater."""

    rater: int  # their number, from 1
    answered: int  # trials
    of: int  # trials of their session
    catches_met: int  # catch trials answered
    catches_passed: int  # of those, as expected
    repeats_met: int  # repeats answered
    repeats_same: int  # of those, as the first time
    median_seconds: float  # of an answer
    first_answer: float  # share of answers that were the first of the two (no, or left)
    simulated: bool  # whether any of the answers is not a human's
    dropped: str  # why the rule leaves them out; "" where it does not


class Analysis(NamedTuple):
    """All that is reported of a study."""

    methods: list[MethodRow]  # in the order of the study
    comparisons: list[Comparison]  # every two methods
    pictures: list[PictureRow]  # every picture that raters judged
    raters: list[Rater]  # everyone who has answered anything, with those who are left out
    alpha: float | None  # Krippendorff's, between the raters who are kept; None where it cannot be told
    answers: int  # of all raters, catch trials and repeats included
    expected_answers: int  # when all raters will have finished
    simulated: int  # raters of whom any answer is simulated


class _Choice(NamedTuple):
    """A judged picture within an answer: whether it was chosen, and over which method (its own where it was alone)."""

    rater: int
    picture: str
    method: int
    other: int
    chosen: int


def analyse(study: Study, answers: Sequence[Answer], *, seed: int, resamples: int = _RESAMPLES) -> Analysis:
    """Analyse a study, finished or in progress; the seed is of permutations and resamples.

    Only the first showing of a trial counts: repeats and catch trials tell about raters, not about methods.

    Raises:
        ValueError: answers of another study.
    """
    raters = describe_raters(study, answers)
    kept = [rater.rater for rater in raters if not rater.dropped]
    choices = [choice for answer in answers if answer.rater in kept for choice in _choices(study, answer)]
    numbers = sorted({choice.rater for choice in choices})
    judged: Array = np.zeros((len(numbers), len(study.methods), len(study.methods)))  # by rater, method, other method
    chosen = np.zeros_like(judged)
    for choice in choices:
        cell = numbers.index(choice.rater), choice.method, choice.other
        judged[cell] += 1
        chosen[cell] += choice.chosen
    return Analysis(
        methods=_methods(study, judged, chosen, seed=seed, resamples=resamples),
        comparisons=_comparisons(study, judged, chosen, seed=seed),
        pictures=_pictures(study, choices),
        raters=raters,
        alpha=statistics.krippendorff_alpha(_agreement(choices), chance=0.5 if study.question.pictures == 2 else None),
        answers=len(answers),
        expected_answers=sum(map(len, study.sessions)),
        simulated=sum(rater.simulated for rater in raters),
    )


def _choices(study: Study, answer: Answer) -> Iterator[_Choice]:
    """Yield the pictures that were judged: one, or the pair."""
    trial = study.sessions[answer.rater - 1][answer.position]
    if trial.kind != RATED:
        return
    methods = [study.methods.index(str(study.stimuli[picture].method)) for picture in trial.pictures]
    for side, (picture, method) in enumerate(zip(trial.pictures, methods, strict=True)):
        chosen = answer.answer if len(methods) == 1 else int(answer.answer == side)
        yield _Choice(answer.rater, picture, method, methods[1 - side] if len(methods) == 2 else method, chosen)


def _methods(study: Study, judged: Array, chosen: Array, *, seed: int, resamples: int) -> list[MethodRow]:
    counts, successes = judged.sum(axis=2), chosen.sum(axis=2)  # (raters, methods)
    strengths = np.full((3, len(study.methods)), np.nan)
    if study.question.pictures == 2 and len(judged):
        strengths = np.stack(statistics.bradley_terry_interval(chosen, resamples=resamples, seed=seed))
    rows = []
    for number, name in enumerate(study.methods):
        own = counts[:, number] > 0
        count, success = int(counts[own, number].sum()), int(successes[own, number].sum())
        if not count:
            rows.append(MethodRow(name, 0, 0))
            continue
        interval = statistics.wilson_over_raters(successes[own, number], counts[own, number]) or (None, None)
        strength = [float(value) if np.isfinite(value) else None for value in strengths[:, number]]
        rows.append(MethodRow(name, count, success, success / count, *interval, *strength))
    return rows


def _comparisons(study: Study, judged: Array, chosen: Array, *, seed: int) -> list[Comparison]:
    pairs = list(combinations(range(len(study.methods)), 2))
    with np.errstate(invalid="ignore"):
        shares = chosen / judged  # of each rater; NaN for what they did not judge
    differences: list[Array] = []
    for a, b in pairs:  # of a pair that was shown: how far the first won more than it lost
        found = 2 * shares[:, a, b] - 1 if study.question.pictures == 2 else shares[:, a, a] - shares[:, b, b]
        differences.append(found[~np.isnan(found)])
    p_values = [statistics.paired_test(found, seed=seed) for found in differences]
    rows = zip(pairs, differences, p_values, statistics.holm(p_values), strict=True)
    return [
        Comparison(study.methods[a], study.methods[b], float(own.mean()) if len(own) else None, len(own), p, corrected)
        for (a, b), own, p, corrected in rows
    ]


def _pictures(study: Study, choices: Sequence[_Choice]) -> list[PictureRow]:
    judged = Counter(choice.picture for choice in choices)
    chosen = Counter(choice.picture for choice in choices if choice.chosen)
    return [
        PictureRow(name, s.photograph, s.method, n := judged[name], chosen[name], chosen[name] / n if n else None)
        for name, s in study.stimuli.items()
        if s.method is not None
    ]


def _agreement(choices: Sequence[_Choice]) -> Array:
    """Count answers by unit: a picture, or a pair of a photograph whichever side its methods were on.

    A pair counts from both its pictures, so that the order of methods does not matter: chance is the toss of a coin.
    """
    counts = Counter((choice.picture, choice.other, choice.chosen) for choice in choices)
    units = dict.fromkeys((choice.picture, choice.other) for choice in choices)
    return np.array([[counts[*unit, answer] for answer in (0, 1)] for unit in units], dtype=np.float64).reshape(-1, 2)


def describe_raters(study: Study, answers: Sequence[Answer]) -> list[Rater]:
    """Describe every rater who has answered anything, in the order of their numbers.

    Where people have answered, simulated raters are left out: their answers never become part of a finding on people.

    Raises:
        ValueError: an answer to a trial that the study has not.
    """
    by_rater = groupby(sorted(answers, key=lambda a: (a.rater, a.position)), key=lambda a: a.rater)
    raters = [_describe(study, number, list(own)) for number, own in by_rater]
    if not all(rater.simulated for rater in raters):
        why = "simulated, while people have answered"
        raters = [rater._replace(dropped=why) if rater.simulated else rater for rater in raters]
    return raters


def _describe(study: Study, number: int, answers: Sequence[Answer]) -> Rater:
    session = study.sessions[number - 1] if 0 < number <= len(study.sessions) else ()
    if [answer.position for answer in answers] != list(range(len(session)))[: len(answers)]:
        raise ValueError(f"rater {number} answered other trials than the study has; these are answers of another study")
    given = [answer.answer for answer in answers]
    met = list(zip(session, given, strict=False))
    passed = [answer == trial.expected for trial, answer in met if trial.kind == CATCH]
    # Sides change with a repeat of two pictures, and so does the answer of who says the same.
    same = [given[trial.of] == abs(answer - len(trial.pictures) + 1) for trial, answer in met if trial.of is not None]
    rater = Rater(
        rater=number,
        answered=len(answers),
        of=len(session),
        catches_met=len(passed),
        catches_passed=sum(passed),
        repeats_met=len(same),
        repeats_same=sum(same),
        median_seconds=median(answer.milliseconds for answer in answers) / 1000,
        first_answer=given.count(0) / len(given),
        simulated=any(answer.simulated for answer in answers),
        dropped="",
    )
    return rater._replace(dropped=_why_dropped(rater, study.rule))


def _why_dropped(rater: Rater, rule: Rule) -> str:
    reasons = []  # quotients, since 0.55 * 20 is more than 11
    if rater.catches_met and rater.catches_passed / rater.catches_met < rule.least_catches:
        reasons.append(f"passed {rater.catches_passed} of {rater.catches_met} catch trials")
    if rater.repeats_met and rater.repeats_same / rater.repeats_met < (rule.least_repeats or 0):
        reasons.append(f"answered {rater.repeats_same} of {rater.repeats_met} repeats as the first time")
    if rater.median_seconds < rule.least_milliseconds / 1000:
        reasons.append(f"took {1000 * rater.median_seconds:.0f} ms an answer")
    if rater.answered / rater.of < rule.least_done:
        reasons.append(f"answered {rater.answered} of {rater.of} trials")
    return "; ".join(reasons)
