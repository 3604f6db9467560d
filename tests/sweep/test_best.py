"""The best trial, the most balanced one of several, and the parameter that decides."""

from collections.abc import Sequence
from typing import Literal

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState, create_trial

from impasto.sweep.best import best_of, best_trials, importances

MINIMIZE, MAXIMIZE = StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE


def _study(values: Sequence[Sequence[float] | None], *directions: Literal["minimize", "maximize"]) -> Study:
    """A study with trials of these values; None failed."""
    study = optuna.create_study(directions=list(directions))
    for told in values:
        state = TrialState.FAIL if told is None else TrialState.COMPLETE
        study.add_trial(create_trial(state=state, values=told))
    return study


@pytest.mark.parametrize(("direction", "number"), [("minimize", 2), ("maximize", 1)])
def test_the_best_of_one_objective_is_one_trial(direction: Literal["minimize", "maximize"], number: int) -> None:
    study = _study([None, [3.0], [1.0], [2.0]], direction)
    assert [trial.number for trial in best_trials(study)] == [number]
    best = best_of(best_trials(study), study.directions)
    assert best is not None and best.number == number


def test_without_a_finished_trial_there_is_no_best() -> None:
    for directions in (("minimize",), ("minimize", "maximize")):
        study = _study([None], *directions)  # type: ignore[arg-type]
        assert best_trials(study) == [] and best_of([], study.directions) is None


def test_of_several_objectives_the_front_is_best() -> None:
    study = _study([[5.0, 5.0], [1.0, 10.0], None, [4.0, 2.0], [9.0, 1.0], [4.0, 3.0]], "minimize", "minimize")
    assert [trial.number for trial in best_trials(study)] == [1, 3, 4]


def test_the_most_balanced_is_nearest_to_the_best_of_each() -> None:
    study = _study([[0.0, 1000.0], [1.0, 300.0], [4.0, 0.0]], "minimize", "minimize")
    best = best_of(best_trials(study), study.directions)
    assert best is not None and best.number == 1  # scaled (0.25, 0.3); without scaling it would be 2


def test_a_maximised_objective_is_balanced_upwards() -> None:
    study = _study([[0.0, 0.0], [1.0, 7.0], [4.0, 10.0]], "minimize", "maximize")
    best = best_of(best_trials(study), [MINIMIZE, MAXIMIZE])
    assert best is not None and best.number == 1


def test_of_equals_the_first_is_taken() -> None:
    study = _study([[1.0, 2.0], [1.0, 2.0]], "minimize", "minimize")
    best = best_of(best_trials(study), study.directions)
    assert best is not None and best.number == 0


def _measured(count: int) -> Study:
    space = {"decides": FloatDistribution(0, 1), "idle": FloatDistribution(0, 1)}
    study = optuna.create_study(directions=["minimize", "minimize"])
    for index in range(count):
        decides, idle = index / count, (index * 7 % count) / count
        study.add_trial(
            create_trial(params={"decides": decides, "idle": idle}, distributions=space, values=[decides**2, idle])
        )
    return study


def test_the_parameter_that_decides_is_important() -> None:
    found = importances(_measured(20), ["first", "second"])
    assert found["first"]["decides"] > 0.8 and found["second"]["idle"] > 0.8
    assert all(sum(shares.values()) == pytest.approx(1) for shares in found.values())


def test_a_few_trials_say_nothing_about_importance() -> None:
    assert importances(_measured(3), ["first", "second"]) == {}
