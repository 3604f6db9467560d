"""The best trial; with several objectives the Pareto front, the most balanced trial first."""

from collections.abc import Sequence
from typing import Literal

import optuna
import pytest
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from impasto.sweep.objectives import best_trials


def _study(values: Sequence[Sequence[float] | None], *directions: Literal["minimize", "maximize"]) -> Study:
    """A study with trials of these values; None failed."""
    study = optuna.create_study(directions=list(directions))
    for trial in values:
        state = TrialState.FAIL if trial is None else TrialState.COMPLETE
        study.add_trial(create_trial(state=state, values=trial))
    return study


def _best(study: Study) -> list[int]:
    return [trial.number for trial in best_trials(study)]


@pytest.mark.parametrize(("direction", "number"), [("minimize", 2), ("maximize", 1)])
def test_the_best_of_one_objective_is_one_trial(direction: Literal["minimize", "maximize"], number: int) -> None:
    assert _best(_study([None, [3.0], [1.0], [2.0]], direction)) == [number]


def test_without_a_finished_trial_there_is_no_best() -> None:
    assert _best(_study([None], "minimize")) == _best(_study([None], "minimize", "maximize")) == []


def test_of_several_objectives_the_front_is_best() -> None:
    study = _study([[5.0, 5.0], [1.0, 10.0], None, [4.0, 2.0], [9.0, 1.0], [4.0, 3.0]], "minimize", "minimize")
    assert sorted(_best(study)) == [1, 3, 4]


def test_the_most_balanced_is_nearest_to_the_best_of_each() -> None:
    study = _study([[0.0, 1000.0], [1.0, 300.0], [4.0, 0.0]], "minimize", "minimize")
    assert _best(study)[0] == 1  # scaled (0.25, 0.3); without scaling it would be 2


def test_a_maximised_objective_is_balanced_upwards() -> None:
    assert _best(_study([[0.0, 0.0], [1.0, 7.0], [4.0, 10.0]], "minimize", "maximize"))[0] == 1


def test_of_equals_the_first_is_taken() -> None:
    assert _best(_study([[1.0], [1.0]], "minimize")) == [0]
    assert _best(_study([[1.0, 2.0], [1.0, 2.0]], "minimize", "minimize"))[0] == 0
