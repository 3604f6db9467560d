"""What a trial gets depends on the sweep's seed and the trials before it, not on how often the sweep was started."""

from collections.abc import Callable
from functools import partial
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler

from impasto.sweep.samplers import Grid, Reseeded, Sampling
from impasto.sweep.space import Space, read_space

SPACE = read_space({"a": {"float": [0.1, 10.0], "log": True}, "b": {"int": [1, 9]}, "c": {"float": [-1, 1]}})
GRID = read_space({"a": {"choice": ["x", "y", None]}, "b": {"int": [1, 5], "step": 2}})


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
        study.sampler = sampling(space, number)
        trial = study.ask(dict(space))
        study.tell(trial, sum(v for v in trial.params.values() if isinstance(v, int | float)))
        found.append(trial.params)
    return found


@pytest.mark.parametrize(
    "sampler",
    [
        RandomSampler,
        partial(TPESampler, n_startup_trials=3),
        partial(CmaEsSampler, n_startup_trials=3, warn_independent_sampling=False),
    ],
    ids=["random", "tpe", "cma_es"],
)
def test_restarts_change_no_trial(sampler: Callable[..., BaseSampler]) -> None:
    once = _run(lambda: Reseeded(sampler, seed=7), SPACE, 8, anew=False)
    assert _run(lambda: Reseeded(sampler, seed=7), SPACE, 8, anew=True) == once
    assert len({tuple(parameters.values()) for parameters in once}) == 8
    assert _run(lambda: Reseeded(sampler, seed=8), SPACE, 8, anew=True)[0] != once[0]


def test_sampling_at_random_never_ends() -> None:
    assert Reseeded(RandomSampler, seed=0).most(SPACE) is None


def test_a_grid_has_each_combination_once_over_restarts() -> None:
    most = Grid(seed=3).most(GRID)
    assert most == 9
    once, anew = (_run(lambda: Grid(seed=3), GRID, most, anew=anew) for anew in (False, True))
    assert once == anew
    assert {(p["a"], p["b"]) for p in once} == {(a, b) for a in ("x", "y", None) for b in (1, 3, 5)}
    other = _run(lambda: Grid(seed=4), GRID, most, anew=True)
    assert other != once  # shuffled by the seed


def test_a_grid_refuses_a_float_without_a_step() -> None:
    with pytest.raises(ValueError, match="space: c: a grid needs"):
        Grid(seed=0).most({"d": CategoricalDistribution([1]), "c": SPACE["c"]})
