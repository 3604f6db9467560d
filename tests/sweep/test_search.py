"""A search space is read as it stands or refused, trials get what the seed says, and objectives say which is best."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
from made_runs import write_metrics
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from impasto.sweep.search import NotLoggedError, Objective, Sampling, Space, best_trials, read_space


def test_every_kind_is_read_with_both_its_ends() -> None:
    space = read_space(
        {
            "a": {"float": [0, 1]},
            "b": {"float": [0.001, 10.0], "log": True},
            "c": {"float": [0.0, 0.3], "step": 0.1},
            "d": {"int": [1, 5], "step": 2},
            "e": {"int": [1, 8], "log": True},
            "f": {"choice": ["x", 2, None]},
        }
    )
    assert space == {
        "a": FloatDistribution(0.0, 1.0),
        "b": FloatDistribution(0.001, 10.0, log=True),
        "c": FloatDistribution(0.0, 0.3, step=0.1),
        "d": IntDistribution(1, 5, step=2),
        "e": IntDistribution(1, 8, log=True),
        "f": CategoricalDistribution(["x", 2, None]),
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"expected a search space, got none; space="),
        (3, "expected a search space, got 3"),
        ({"a": 3}, r"space: a: expected \{float: \[low, high\]\}, .* got 3"),
        ({"a": {"flaot": [0, 1]}}, "got .*flaot.*: one of float, int, choice is needed"),
        ({"a": {"int": [0, 1], "float": [0, 1]}}, "space: a: .*: one of float, int, choice is needed"),
        ({"a": {"float": [1, 2], "lgo": True}}, "space: a: .* unexpected keyword argument 'lgo'"),
        ({"a": {"choice": [1, 2], "step": 1}}, "space: a: .* unexpected keyword argument 'step'"),
        ({"a": {"choice": []}}, "must contain one or more elements"),
        ({"a": {"choice": "xy"}}, "xy is no list"),
        ({"a": {"choice": [[1], [2]]}}, r"contains \[1\] which is of type list"),
        ({"a": {"float": [0]}}, "missing 1 required positional argument: 'high'"),
        ({"a": {"int": [0, 1.5]}}, r"\[0, 1.5\] are no whole numbers"),
        ({"a": {"float": [2, 1]}}, "`low <= high` must hold"),
        ({"a": {"int": [1, 4], "step": 0}}, "`step > 0` must hold"),
        ({"a": {"int": [1, 5], "log": True, "step": 2}}, "step is 1 when `log` argument is True"),
        ({"a": {"float": [0, 1], "log": True}}, "`low > 0` must hold"),
        ({"a": {"int": [1, 6], "step": 2}}, r"not divisible by `step`"),
        ({"a": {"float": [0.0, 1.0], "step": 0.3}}, "not divisible by `step`"),
    ],
)
def test_what_is_no_space_is_refused_with_its_key(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_space(given)
    assert "\n" not in str(error.value)


SPACE = read_space({"a": {"float": [0.1, 10.0], "log": True}, "b": {"int": [1, 9]}, "c": {"float": [-1, 1]}})
GRID = read_space(
    {"a": {"choice": ["x", "y", None]}, "b": {"choice": [1, 3, 5]}, "c": {"choice": [0.0, 0.1, 0.2, 0.3]}}
)


def _run(make: Callable[[], Sampling], space: Space, count: int, *, anew: bool) -> list[dict[str, Any]]:
    """Parameters of so many trials; anew: with everything but the trials forgotten before each."""
    storage = optuna.storages.InMemoryStorage()
    sampling = make()
    found = []
    study = optuna.create_study(storage=storage, study_name="s", load_if_exists=True)
    for number in range(count):
        if anew:
            sampling = make()
            study = optuna.load_study(storage=storage, study_name="s")
        study.sampler = sampling.of_trial(number)
        trial = study.ask(dict(space))
        study.sampler = RandomSampler()  # a grid's would stop a loop that is not there
        study.tell(trial, sum(v for v in trial.params.values() if isinstance(v, int | float)))
        found.append(trial.params)
    return found


@pytest.mark.parametrize(
    "sampler",
    [
        partial(RandomSampler),
        partial(TPESampler, n_startup_trials=3),
        partial(CmaEsSampler, n_startup_trials=3, warn_independent_sampling=False),
    ],
    ids=["random", "tpe", "cma_es"],
)
def test_restarts_change_no_trial(sampler: "partial[BaseSampler]") -> None:
    def make(seed: int = 7) -> Sampling:
        return Sampling(sampler, SPACE, seed=seed)

    once = _run(make, SPACE, 8, anew=False)
    assert _run(make, SPACE, 8, anew=True) == once
    assert len({tuple(parameters.values()) for parameters in once}) == 8
    assert _run(lambda: make(8), SPACE, 8, anew=True)[0] != once[0]
    assert make().combinations is None


def test_a_grid_has_each_combination_once_over_restarts() -> None:
    def make(seed: int = 3) -> Sampling:
        return Sampling(partial(GridSampler), GRID, seed=seed)

    assert make().combinations == 36
    once, anew = (_run(make, GRID, 36, anew=anew) for anew in (False, True))
    assert once == anew
    every = {(a, b, c) for a in ("x", "y", None) for b in (1, 3, 5) for c in (0.0, 0.1, 0.2, 0.3)}
    assert {(p["a"], p["b"], p["c"]) for p in once} == every
    assert _run(lambda: make(4), GRID, 36, anew=True) != once  # shuffled by the seed


def test_a_grid_refuses_a_range() -> None:
    with pytest.raises(ValueError, match=r"space: a: a grid needs choice: \[\.\.\.\]"):
        Sampling(partial(GridSampler), read_space({"a": {"float": [0, 1]}}), seed=0)


STYLE = Objective(metric="val/style", direction="minimize", divided_by="loss.weights.style")
PLAIN = Objective(metric="val/loss", direction="maximize")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    write_metrics(tmp_path, {"val/loss": [3.0, 2.0, 1.5], "val/style": [60.0, 50.0, 40.0], "train/loss": [9.0]})
    (tmp_path / "config.yaml").write_text(json.dumps({"loss": {"weights": {"style": 20.0, "tv": 0}}, "a": True}))
    return tmp_path


def test_a_value_is_that_of_the_last_validation_without_its_weight(trained: Path) -> None:
    assert PLAIN.reached(trained) == 1.5 and STYLE.reached(trained) == 2.0
    assert PLAIN.value(40.0, trained) == 40.0 and STYLE.value(40.0, trained) == 2.0


def test_a_misspelt_metric_is_named_with_the_nearest(trained: Path) -> None:
    wrong = Objective(metric="val/stile", direction="minimize")
    with pytest.raises(NotLoggedError, match=r"no val/stile in metrics\.csv; did you mean 'val/style'\?"):
        wrong.reached(trained)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_with_its_step(trained: Path, value: float) -> None:
    write_metrics(trained, {"val/loss": [3.0, value]})
    with pytest.raises(ValueError, match=rf"val/loss is {value} after step 1"):
        PLAIN.reached(trained)


@pytest.mark.parametrize("key", ["loss.weights.tv", "loss.weights.missing", "loss.weights", "loss.weights.style.x"])
def test_a_divisor_that_is_no_number_or_zero_is_refused(trained: Path, key: str) -> None:
    with pytest.raises(ValueError, match=f"divided_by: expected {key} to be a number but 0, got"):
        Objective(metric="val/loss", direction="minimize", divided_by=key).reached(trained)


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
