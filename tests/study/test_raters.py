"""Laws of what is known of raters: each clause of the rule drops whom it should, and nobody at its threshold."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from small_study import imagined_study

from impasto.study.analysis import Rater, describe_raters
from impasto.study.answers import Answer
from impasto.study.folder import CATCH, RATED, REPEAT, Question, Rule, Study, Trial

LENIENT = {"least_catches": 0.0, "least_repeats": None, "least_milliseconds": 0.0, "least_done": 0.0}
PICTURES = pytest.mark.parametrize("pictures", [1, 2])


def _study(pictures: int = 1, *, repeats: int = 5, catches: int = 4, raters: int = 3, **rule: Any) -> Study:
    layout = {"photographs": 20, "raters": raters, "rounds": 1, "repeats": repeats, "catches": catches, "seed": 0}
    question = Question(text="?", pictures=pictures, answers=("no", "yes"))
    return imagined_study(question, Rule(**(LENIENT | rule)), ["a", "b", "c"], **layout)


def _answers(study: Study, rater: int, choose: Callable[[Trial, Sequence[int]], int], **changed: Any) -> list[Answer]:
    """A whole session, answered by a function of the trial and of the answers before it."""
    given: list[int] = []
    for trial in study.sessions[rater - 1]:
        given.append(choose(trial, given))
    told = {"milliseconds": 1000, "pauses": 0, "received": "", "simulated": False} | changed
    return [Answer(rater=rater, position=place, answer=answer, **told) for place, answer in enumerate(given)]


def _careful(trial: Trial, given: Sequence[int]) -> int:
    """Always yes or left, as before at repeats, as expected at catch trials."""
    if trial.expected is not None:
        return trial.expected
    if trial.of is not None:
        return given[trial.of] if len(trial.pictures) == 1 else 1 - given[trial.of]
    return 1 if len(trial.pictures) == 1 else 0


def _wrong(kind: str, count: int) -> Callable[[Trial, Sequence[int]], int]:
    """Careful but at the first so many trials of a kind."""
    left = [count]

    def choose(trial: Trial, given: Sequence[int]) -> int:
        answer = _careful(trial, given)
        if trial.kind == kind and left[0]:
            left[0] -= 1
            return 1 - answer
        return answer

    return choose


def _described(study: Study, answers: list[Answer]) -> Rater:
    (rater,) = describe_raters(study, answers)
    return rater


# ---------------------------------------------------------------- what is known


@PICTURES
def test_a_careful_rater_passes_everything(pictures: int) -> None:
    study = _study(pictures, least_catches=1, least_repeats=1, least_milliseconds=1000, least_done=1)
    rater = _described(study, _answers(study, 2, _careful))
    assert rater.dropped == ""
    assert (rater.rater, rater.answered, rater.of) == (2, 29, 29)
    assert (rater.catches_met, rater.catches_passed, rater.repeats_met, rater.repeats_same) == (4, 4, 5, 5)
    assert rater.median_seconds == 1
    assert not rater.simulated


@PICTURES
@pytest.mark.parametrize(("kind", "name"), [(CATCH, "catches_passed"), (REPEAT, "repeats_same")])
def test_wrong_answers_are_counted(pictures: int, kind: str, name: str) -> None:
    study = _study(pictures)
    most = getattr(_described(study, _answers(study, 1, _careful)), name)
    for count in range(most + 1):
        assert getattr(_described(study, _answers(study, 1, _wrong(kind, count))), name) == most - count


def test_the_share_of_first_answers_and_the_median_time_are_told() -> None:
    study = _study(repeats=0, catches=0)
    answers = [
        a._replace(answer=a.position % 4 // 3, milliseconds=100 * a.position) for a in _answers(study, 1, _careful)
    ]
    rater = _described(study, answers)
    assert rater.first_answer == 15 / 20
    assert rater.median_seconds == pytest.approx(0.95)


def test_one_simulated_answer_makes_the_rater_simulated() -> None:
    study = _study()
    answers = _answers(study, 1, _careful)
    answers[7] = answers[7]._replace(simulated=True)
    assert _described(study, answers).simulated


def test_raters_come_by_number_whatever_the_order_of_the_answers() -> None:
    study = _study()
    answers = [*_answers(study, 3, _careful), *_answers(study, 1, _wrong(CATCH, 2))]
    found = describe_raters(study, answers)
    assert [rater.rater for rater in found] == [1, 3]
    assert describe_raters(study, answers[::-1]) == found
    assert describe_raters(study, []) == []


# ---------------------------------------------------------------- the rule


@PICTURES
@pytest.mark.parametrize(
    ("rule", "kind", "allowed", "reason"),
    [
        ({"least_catches": 0.75}, CATCH, 1, "passed 2 of 4 catch trials"),
        ({"least_catches": 1}, CATCH, 0, "passed 3 of 4 catch trials"),
        ({"least_repeats": 0.6}, REPEAT, 2, "answered 2 of 5 repeats as the first time"),
    ],
)
def test_who_fails_one_too_many_is_dropped(
    pictures: int, rule: dict[str, float], kind: str, allowed: int, reason: str
) -> None:
    study = _study(pictures, **rule)
    assert _described(study, _answers(study, 1, _wrong(kind, allowed))).dropped == ""
    assert _described(study, _answers(study, 1, _wrong(kind, allowed + 1))).dropped == reason


@pytest.mark.parametrize("share", [0.07, 0.28, 0.29, 0.55, 0.56, 0.57, 0.58])
def test_a_threshold_holds_exactly_however_it_rounds(share: float) -> None:
    catches, passed = 100, round(100 * share)
    study = _study(catches=catches, repeats=0, least_catches=share)
    assert _described(study, _answers(study, 1, _wrong(CATCH, catches - passed))).dropped == ""
    assert _described(study, _answers(study, 1, _wrong(CATCH, catches - passed + 1))).dropped != ""


@pytest.mark.parametrize("milliseconds", [250, 1001, 1009, 2003])
def test_who_answers_too_fast_is_dropped(milliseconds: int) -> None:
    study = _study(least_milliseconds=milliseconds)
    assert _described(study, _answers(study, 1, _careful, milliseconds=milliseconds)).dropped == ""
    fast = _described(study, _answers(study, 1, _careful, milliseconds=milliseconds - 1))
    assert fast.dropped == f"took {milliseconds - 1} ms an answer"


def test_who_has_answered_too_little_is_dropped() -> None:
    study = _study(repeats=0, catches=0, least_done=0.55)
    answers = _answers(study, 1, _careful)
    assert _described(study, answers[:11]).dropped == ""
    assert _described(study, answers[:10]).dropped == "answered 10 of 20 trials"


def test_all_reasons_are_told() -> None:
    study = _study(least_catches=1, least_repeats=1, least_milliseconds=300, least_done=1)
    answers = _answers(study, 1, lambda trial, given: 1 - _careful(trial, given), milliseconds=20)[:-1]
    told = _described(study, answers).dropped.split("; ")
    assert [text.split()[0] for text in told] == ["passed", "answered", "took", "answered"]


@PICTURES
def test_a_session_that_has_just_begun_is_not_dropped_for_what_it_has_not_met(pictures: int) -> None:
    study = _study(pictures, least_catches=1, least_repeats=1)
    answers = _answers(study, 1, _careful)
    first = next(place for place, trial in enumerate(study.sessions[0]) if trial.kind != RATED)
    rater = _described(study, answers[:first])
    assert (rater.dropped, rater.catches_met, rater.repeats_met) == ("", 0, 0)


# ---------------------------------------------------------------- answers of another study


@pytest.mark.parametrize(
    "change",
    [
        lambda answers: [answers[0]._replace(rater=4)],
        lambda answers: [answers[0]._replace(rater=0)],
        lambda answers: [*answers, answers[0]._replace(position=len(answers))],
        lambda answers: answers[1:],
        lambda answers: [*answers[:3], *answers[4:]],
        lambda answers: [answers[0]._replace(position=-1)],
    ],
    ids=["another rater", "rater nought", "a trial more", "not the first", "a gap", "a negative position"],
)
def test_answers_of_another_study_are_refused(change: Callable[[list[Answer]], list[Answer]]) -> None:
    study = _study()
    with pytest.raises(ValueError, match=r"rater \d answered other trials than the study has; .* another study"):
        describe_raters(study, change(_answers(study, 1, _careful)))


def test_simulated_raters_are_left_out_where_people_answered() -> None:
    study = _study()
    people, simulated = _answers(study, 1, _careful), _answers(study, 2, _careful, simulated=True)
    assert [rater.dropped for rater in describe_raters(study, [*people, *simulated])] == [
        "",
        "simulated, while people have answered",
    ]
    assert [rater.dropped for rater in describe_raters(study, simulated)] == [""]
