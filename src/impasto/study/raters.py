"""What is known of each rater, and whether the rule that was fixed beforehand leaves them out."""

from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import NamedTuple

from impasto.study.answers import Answer
from impasto.study.plan import CATCH, Rule, Study


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


def describe_raters(study: Study, answers: Sequence[Answer]) -> list[Rater]:
    """Describe every rater who has answered anything, in the order of their numbers.

    Where people have answered, simulated raters are left out: their answers never become part of a finding on people.

    Raises:
        ValueError: an answer to a trial that the study has not.
    """
    by_rater = groupby(sorted(answers, key=lambda a: (a.rater, a.position)), key=lambda a: a.rater)
    raters = [_describe(study, number, list(own)) for number, own in by_rater]
    if all(rater.simulated for rater in raters):
        return raters
    simulated = "simulated, while people have answered"
    return [
        rater._replace(dropped="; ".join(filter(None, [simulated, rater.dropped]))) if rater.simulated else rater
        for rater in raters
    ]


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


def describe_rule(rule: Rule) -> str:
    """Say the rule in words."""
    parts = [f"passes fewer than {100 * rule.least_catches:.0f} % of the catch trials"]
    if rule.least_repeats is not None:
        parts.append(f"answers fewer than {100 * rule.least_repeats:.0f} % of the repeats as the first time")
    parts.append(f"takes less than {rule.least_milliseconds:.0f} ms an answer (median)")
    if rule.least_done:
        parts.append(f"has answered less than {100 * rule.least_done:.0f} % of the session")
    return f"left out is who {', or '.join(parts)}; fixed when the study was created"
