"""What a trial gets depends on the sweep's seed and the trials before it, not on how often the sweep was started."""

from collections.abc import Callable
from functools import partial
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, RandomSampler, TPESampler

from impasto.sweep.space import Sampling, Space, read_space

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
