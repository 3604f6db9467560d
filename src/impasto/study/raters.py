"""What is known of each rater, and whether the rule that was fixed beforehand leaves them out."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from impasto.study.answers import Answer
from impasto.study.plan import CATCH, REPEAT, Rule, Study


class Rater(NamedTuple):
    """One rater.

    Attributes:
        rater: their number, from 1.
        answered: trials.
        of: trials of their session.
        catches_met: catch trials answered.
        catches_passed: of those, as expected.
        repeats_met: repeats answered.
        repeats_same: of those, as the first time.
        median_seconds: of an answer; None without any.
        first_answer: share of answers that were the first of the two (no, or left); None without any.
        simulated: whether any of the answers is not a human's.
        dropped: why the rule leaves them out; "" where it does not.
    """

    rater: int
    answered: int
    of: int
    catches_met: int
    catches_passed: int
    repeats_met: int
    repeats_same: int
    median_seconds: float | None
    first_answer: float | None
    simulated: bool
    dropped: str


def describe_raters(study: Study, answers: Sequence[Answer]) -> list[Rater]:
    """Describe every rater who has answered anything, in the order of their numbers.

    Where people have answered, simulated raters are left out: their answers never become part of a finding on people.

    Raises:
        ValueError: an answer to a trial that the study has not.
    """
    by_rater: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_rater[answer.rater].append(answer)
    raters = [
        _describe(study, number, sorted(by_rater[number], key=lambda a: a.position)) for number in sorted(by_rater)
    ]
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
    given = {answer.position: answer.answer for answer in answers}
    passed = [given[a.position] == session[a.position].expected for a in answers if session[a.position].kind == CATCH]
    same = []
    for position in given:
        trial = session[position]
        if trial.kind == REPEAT and trial.of is not None:
            changed = len(trial.pictures) == 2  # sides change with a repeat
            same.append(given[position] == (1 - given[trial.of] if changed else given[trial.of]))
    rater = Rater(
        rater=number,
        answered=len(answers),
        of=len(session),
        catches_met=len(passed),
        catches_passed=sum(passed),
        repeats_met=len(same),
        repeats_same=sum(same),
        median_seconds=median(answer.milliseconds for answer in answers) / 1000,
        first_answer=sum(answer.answer == 0 for answer in answers) / len(answers),
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
    if rater.median_seconds is not None and rater.median_seconds < rule.least_milliseconds / 1000:
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
