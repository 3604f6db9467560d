"""Print how often the study's 95 % intervals cover the truth, over simulated studies with known preferences.

Also how often the order of the methods is found, and how often a test finds a difference where there is none. Needs no
data and about half an hour: python docs/measure/coverage.py [studies]
"""

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from impasto.study.analysis import Analysis, analyse
from impasto.study.design import design_sessions
from impasto.study.folder import Question, Rule, Stimulus, Study
from impasto.study.simulation import Preferences, simulate_rater
from impasto.study.statistics import Array, bradley_terry

NATURAL = Question(text="natural?", pictures=1, answers=("no", "yes"))
BETTER = Question(text="better?", pictures=2, answers=("left", "right"))
RULE = Rule(least_catches=0, least_repeats=None, least_milliseconds=0, least_done=0)
SHARES = {"truth": 0.93, "colorizer": 0.8, "baseline": 0.65, "grey": 0.4}
STRENGTHS = {"truth": 1.6, "stylizer": 0.6, "optimised": 0.0, "baseline": -0.7, "noise": -1.5}
PHOTOGRAPHS, RATERS = 24, 20
RESAMPLES = 500  # of each bootstrap; the command takes 2,000
STUDIES = 1000


class Measured(NamedTuple):
    """What many studies of the same preferences found.

    Attributes:
        methods: their names.
        truth: what endlessly many raters would give: the share, or the strength.
        estimate: mean over the studies.
        coverage: share of the studies whose 95 % interval holds the truth.
        ordered: share of the studies whose estimates stand in the order of the truth.
        found: share of all comparisons of two methods with p < 0.05, before correction.
        found_any: share of the studies with any corrected p < 0.05.
    """

    methods: list[str]
    truth: Array
    estimate: Array
    coverage: Array
    ordered: float
    found: float
    found_any: float


def measure(question: Question, preferences: Preferences, *, studies: int) -> Measured:
    """Simulate and analyse studies, each with another design and other answers."""
    methods = list(preferences.values)
    truth = true_values(question, preferences)
    found = [_analysis(question, preferences, number) for number in range(studies)]
    values = np.array([[_interval(question, row) for row in analysis.methods] for analysis in found])
    estimate, low, high = values[..., 0], values[..., 1], values[..., 2]
    order = np.argsort(truth)
    p_values = [comparison.p for analysis in found for comparison in analysis.comparisons if comparison.p is not None]
    corrected = [[c.p_corrected for c in analysis.comparisons if c.p_corrected is not None] for analysis in found]
    return Measured(
        methods=methods,
        truth=truth,
        estimate=estimate.mean(axis=0),
        coverage=((low <= truth) & (truth <= high)).mean(axis=0),
        ordered=float((np.diff(estimate[:, order], axis=1) > 0).all(axis=1).mean()),
        found=float(np.mean(np.array(p_values) < 0.05)),
        found_any=float(np.mean([min(own) < 0.05 for own in corrected])),
    )


def _analysis(question: Question, preferences: Preferences, seed: int) -> Analysis:
    methods = list(preferences.values)
    layout = {"photographs": PHOTOGRAPHS, "raters": RATERS, "rounds": 1, "repeats": 0, "catches": 0, "seed": seed}
    study = imagined_study(question, RULE, methods, **layout)
    raters = range(1, RATERS + 1)
    answers = [answer for rater in raters for answer in simulate_rater(study, rater, preferences, seed=seed)]
    return analyse(study, answers, seed=seed, resamples=RESAMPLES)


def _interval(question: Question, row: object) -> list[float]:
    names = ("share", "low", "high") if question.pictures == 1 else ("strength", "strength_low", "strength_high")
    return [getattr(row, name) for name in names]


def imagined_study(question: Question, rule: Rule, methods: Sequence[str], **layout: int) -> Study:
    """Make a study whose pictures do not exist: simulated raters need none.

    `layout` has photographs, raters, rounds, repeats, catches and seed, as `design_sessions` takes them.
    """
    stimuli: dict[str, Stimulus] = {}

    def name(photograph: int, number: int | None) -> str:
        picture = f"photograph{photograph}{'spoiled' if number is None else f'method{number}'}"
        method = None if number is None else methods[number]
        stimuli[picture] = Stimulus(photograph=f"photograph {photograph}", method=method, width=1, height=1, sha256="")
        return picture

    return Study(
        title="imagined",
        question=question,
        methods=tuple(methods),
        sessions=design_sessions(methods=len(methods), pictures=question.pictures, name=name, **layout),
        stimuli=stimuli,
        rule=rule,
        break_every=None,
        seed=layout["seed"],
        created="",
    )


def true_values(question: Question, preferences: Preferences) -> Array:
    """Return shares or strengths that endlessly many raters would give: the mean over how raters differ."""
    values = np.array(list(preferences.values.values()))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    if question.pictures == 1:
        shares: Array = expit(logit(values)[:, None] + preferences.rater_spread * nodes) @ weights
        return shares
    distance = (values[:, None] - values)[..., None] + 2**0.5 * preferences.rater_spread * nodes
    wins = 1e9 * (expit(distance) @ weights) * (1 - np.eye(len(values)))
    return bradley_terry(wins)


def main() -> None:
    """Measure both questions, with raters who do not differ and with raters who do; then methods that are equal."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    sys.stdout.write(f"{studies} studies, {RATERS} raters, {PHOTOGRAPHS} photographs\n")
    for name, question, values in (("natural?", NATURAL, SHARES), ("better?", BETTER, STRENGTHS)):
        for spread in (0.0, 0.5):
            found = measure(question, Preferences(values=values, rater_spread=spread, careless=0), studies=studies)
            sys.stdout.write(f"\n{name} rater_spread {spread}: order found in {100 * found.ordered:.1f} %\n")
            for row in zip(found.methods, found.truth, found.estimate, found.coverage, strict=True):
                sys.stdout.write("  {:<10} truth {:6.3f}  mean estimate {:6.3f}  covered {:.1%}\n".format(*row))
            sys.stdout.flush()
    for name, question, level in (("natural?", NATURAL, 0.6), ("better?", BETTER, 0.0)):
        for spread in (0.0, 0.5):
            equal = Preferences(values=dict.fromkeys("abcd", level), rater_spread=spread, careless=0)
            found = measure(question, equal, studies=studies)
            sys.stdout.write(
                f"\n{name} rater_spread {spread}, methods equal: p < 0.05 in {found.found:.1%} of the comparisons, "
                f"corrected in any of {found.found_any:.1%} of the studies\n"
            )
            sys.stdout.flush()
    sys.stdout.write(f"\nload of the machine: {os.getloadavg()[0]:.1f}\n")


if __name__ == "__main__":
    main()
