"""Laws of simulated raters: their preferences are the known ones, and the seed decides everything."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_study import imagined_study

from impasto.study.answers import Answer
from impasto.study.folder import CATCH, RATED, Question, Rule, Study
from impasto.study.simulation import Preferences, simulate_rater

NATURAL = Question(text="?", pictures=1, answers=("no", "yes"))
BETTER = Question(text="?", pictures=2, answers=("left", "right"))
RULE = Rule(least_catches=0, least_repeats=None, least_milliseconds=0, least_done=0)
SHARES = {"a": 0.95, "b": 0.5, "c": 0.1}
STRENGTHS = {"a": 2.0, "b": 0.0, "c": -1.0}


def _study(question: Question, *, photographs: int = 30, raters: int = 60) -> Study:
    layout = {"photographs": photographs, "raters": raters, "rounds": 1, "repeats": 2, "catches": 4, "seed": 0}
    return imagined_study(question, RULE, list("abc"), **layout)


def _preferences(values: dict[str, float] | None = None, **changed: Any) -> Preferences:
    return Preferences(**{"values": values or SHARES, "rater_spread": 0.0, "careless": 0.0} | changed)


def _all(study: Study, preferences: Preferences, seed: int = 0) -> list[Answer]:
    raters = range(1, len(study.sessions) + 1)
    return [answer for rater in raters for answer in simulate_rater(study, rater, preferences, seed=seed)]


def _chosen(study: Study, answers: list[Answer]) -> dict[Any, tuple[int, int]]:
    """Second answers and answers by the methods shown, of rated trials."""
    counts: Counter[Any] = Counter()
    seconds: Counter[Any] = Counter()
    for answer in answers:
        trial = study.sessions[answer.rater - 1][answer.position]
        if trial.kind == RATED:
            shown = tuple(study.stimuli[picture].method for picture in trial.pictures)
            counts[shown] += 1
            seconds[shown] += answer.answer
    return {shown: (seconds[shown], counts[shown]) for shown in counts}


def _near(seconds: int, count: int, chance: float) -> bool:
    return abs(seconds - count * chance) <= 4 * np.sqrt(count * chance * (1 - chance))


# ---------------------------------------------------------------- what they say


def test_pictures_are_called_natural_as_often_as_they_shall() -> None:
    found = _chosen(_study(NATURAL), _all(_study(NATURAL), _preferences()))
    assert all(_near(*found[name,], chance) for name, chance in SHARES.items())
    assert sum(count for _, count in found.values()) == 1800


def test_the_stronger_is_chosen_with_the_logistic_of_the_difference_on_either_side() -> None:
    found = _chosen(_study(BETTER), _all(_study(BETTER), _preferences(STRENGTHS)))
    assert len(found) == 6
    for (left, right), (seconds, count) in found.items():
        assert _near(seconds, count, 1 / (1 + np.exp(STRENGTHS[left] - STRENGTHS[right])))


@pytest.mark.parametrize(("question", "values"), [(NATURAL, SHARES), (BETTER, STRENGTHS)])
def test_careful_raters_pass_catch_trials_and_careless_ones_half(question: Question, values: dict[str, float]) -> None:
    study = _study(question)
    for careless, chance in ((0.0, 1.0), (1.0, 0.5)):
        answers = _all(study, _preferences(values, careless=careless))
        trials = [(study.sessions[a.rater - 1][a.position], a.answer) for a in answers]
        passed = [answer == trial.expected for trial, answer in trials if trial.kind == CATCH]
        assert len(passed) == 240 and _near(sum(passed), 240, chance)


def test_careless_raters_answer_at_random_and_fast() -> None:
    study = _study(NATURAL)
    careful, careless = (_all(study, _preferences(careless=share)) for share in (0, 1))
    assert all(_near(*found, 0.5) for found in _chosen(study, careless).values())
    times = [np.median([answer.milliseconds for answer in answers]) for answers in (careful, careless)]
    assert times == [pytest.approx(1800, rel=0.05), pytest.approx(600, rel=0.05)]
    some = _all(study, _preferences(careless=0.3))
    fast = [rater for rater in range(1, 61) if np.median([a.milliseconds for a in some if a.rater == rater]) < 1000]
    assert 8 <= len(fast) <= 30


# ---------------------------------------------------------------- how they differ


def _log_odds(study: Study, preferences: Preferences) -> NDArray[np.float64]:
    """Of each rater and method, from a long session."""
    found = []
    for rater in range(1, len(study.sessions) + 1):
        chosen = _chosen(study, simulate_rater(study, rater, preferences, seed=0))
        found.append([np.log((chosen[name,][0] + 0.5) / (chosen[name,][1] - chosen[name,][0] + 0.5)) for name in "abc"])
    return np.array(found)


def test_a_rater_differs_alike_for_all_methods_of_single_pictures() -> None:
    study = _study(NATURAL, photographs=300, raters=30)
    even = {"a": 0.5, "b": 0.4, "c": 0.6}
    differ = _log_odds(study, _preferences(even, rater_spread=0.8))
    assert differ.std(axis=0) == pytest.approx(0.8, abs=0.3)
    assert np.corrcoef(differ.T).min() > 0.85
    assert _log_odds(study, _preferences(even)).std(axis=0).max() < 0.25


def test_a_rater_of_pairs_differs_by_method() -> None:
    study = _study(BETTER, photographs=300, raters=20)
    shares = []
    for spread in (0.0, 1.0):
        preferences = _preferences(dict.fromkeys("abc", 0.0), rater_spread=spread)
        own = [_chosen(study, simulate_rater(study, rater, preferences, seed=0)) for rater in range(1, 21)]
        shares.append(np.array([[found[pair][0] / found[pair][1] for pair in sorted(found)] for found in own]))
    alike, differ = shares
    assert (alike.std(axis=0) < 0.12).all() and (differ.std(axis=0) > 0.15).all()


# ---------------------------------------------------------------- the seed


@pytest.mark.parametrize(("question", "values"), [(NATURAL, SHARES), (BETTER, STRENGTHS)])
def test_seed_and_number_determine_every_answer(question: Question, values: dict[str, float]) -> None:
    study, preferences = _study(question, raters=12), _preferences(values, rater_spread=0.5, careless=0.2)
    assert _all(study, preferences, seed=1) == _all(study, preferences, seed=1)
    assert _all(study, preferences, seed=1) != _all(study, preferences, seed=2)
    alone = simulate_rater(study, 7, preferences, seed=1)
    assert alone == [answer for answer in _all(study, preferences, seed=1) if answer.rater == 7]
    other = simulate_rater(study, 8, preferences, seed=1)
    assert [a.milliseconds for a in alone] != [a.milliseconds for a in other]


def test_a_session_is_answered_whole_in_order_and_marked_as_simulated() -> None:
    study = _study(NATURAL)
    answers = simulate_rater(study, 5, _preferences(), seed=0)
    assert [answer.position for answer in answers] == list(range(len(study.sessions[4]))) == list(range(36))
    assert all(answer.simulated and answer.rater == 5 and answer.milliseconds > 0 for answer in answers)


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"values": {"a": 0.5, "b": 0.5}}, "expected a value for each of a, b, c, got a, b"),
        ({"values": {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5}}, "expected a value for each of a, b, c, got a, b, c, d"),
        ({"values": {}}, "expected a value for each of a, b, c, got none"),
        ({"values": SHARES | {"b": 1.1}}, "expected probabilities between 0 and 1, got .*1.1"),
        ({"values": SHARES | {"b": -0.1}}, "expected probabilities between 0 and 1"),
    ],
)
def test_preferences_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    preferences = Preferences(**{"values": SHARES, "rater_spread": 0.0, "careless": 0.0} | changed)
    with pytest.raises(ValueError, match=message):
        simulate_rater(_study(NATURAL, raters=3), 1, preferences, seed=0)
