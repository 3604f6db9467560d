"""A search space is read as it stands, or refused with the key and what was expected."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from impasto.sweep.space import read_space


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
