"""A search space is read as it stands, or refused with the key and what was expected."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from impasto.sweep.space import ends, every_value, read_space


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
    assert [ends(distribution) for distribution in space.values()] == [
        [0.0, 1.0],
        [0.001, 10.0],
        [0.0, 0.3],
        [1, 5],
        [1, 8],
        ["x", 2, None],
    ]


def test_a_range_of_one_value_is_a_range() -> None:
    assert ends(read_space({"a": {"float": [2, 2]}})["a"]) == [2.0]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (None, r"expected a search space, got none; sweep=\.\.\. chooses one"),
        ({}, "expected a search space, got none"),
        (3, "expected a search space, got 3"),
        ({"a": 3}, r"space: a: expected \{float: \[low, high\]\}, \{int: \.\.\.\} or \{choice: \[\.\.\.\]\}, got 3"),
        (
            {"a": {"flaot": [0, 1]}},
            r"space: a: expected one of float, int, choice; did you mean 'float'\?; got .*flaot",
        ),
        ({"a": {}}, "space: a: expected one of float, int, choice"),
        ({"a": {"int": [0, 1], "float": [0, 1]}}, "space: a: expected one of float, int, choice"),
        ({"a": {"float": [1, 2], "lgo": True}}, r"space: a: 'lgo' is no word of a float; did you mean 'log'\?"),
        ({"a": {"choice": [1, 2], "step": 1}}, "space: a: 'step' is no word of a choice"),
        ({"a": {"choice": []}}, r"space: a: expected choice: \[one, two, \.\.\.\], got \[\]"),
        ({"a": {"choice": "xy"}}, r"space: a: expected choice: \[one, two, \.\.\.\], got xy"),
        ({"a": {"choice": [[1], [2]]}}, r"space: a: expected words and numbers to choose from, got \[1\]"),
        ({"a": {"choice": [1.0, float("nan")]}}, "space: a: expected words and numbers to choose from, got nan"),
        ({"a": {"choice": ["x", "y", "x"]}}, "space: a: x is there twice"),
        ({"a": {"float": [0]}}, r"space: a: expected float: \[low, high\], got \[0\]"),
        ({"a": {"float": ["0", "1"]}}, r"space: a: expected float: \[low, high\]"),
        ({"a": {"float": [0, float("inf")]}}, r"space: a: expected float: \[low, high\], got \[0, inf\]"),
        ({"a": {"int": [0, 1.5]}}, r"space: a: expected int: \[low, high\], got \[0, 1.5\]"),
        ({"a": {"int": [False, True]}}, r"space: a: expected int: \[low, high\]"),
        ({"a": {"float": [2, 1]}}, "space: a: the range from 2 to 1 is empty; expected the lower end first"),
        ({"a": {"float": [1, 2], "log": "yes"}}, "space: a: expected log: true or false and a step above 0, got log"),
        ({"a": {"int": [1, 4], "step": 0}}, "space: a: expected log: true or false and a step above 0, .* step 0"),
        ({"a": {"int": [1, 4], "step": True}}, "space: a: expected log: true or false and a step above 0"),
        ({"a": {"float": [1, 4], "step": float("nan")}}, "space: a: expected log: .* step nan"),
        ({"a": {"int": [1, 5], "log": True, "step": 2}}, "space: a: log and step exclude each other"),
        ({"a": {"float": [0, 1], "log": True}}, "space: a: a logarithmic range begins above 0, got 0"),
        ({"a": {"int": [-1, 1], "log": True}}, "space: a: a logarithmic range begins above 0, got -1"),
        ({"a": {"int": [1, 6], "step": 2}}, r"space: a: steps of 2 from 1 pass over 6; expected \[1, 5\]"),
        ({"a": {"float": [0.0, 1.0], "step": 0.3}}, r"pass over 1.0; expected \[0.0, 0.9\]"),
    ],
)
def test_what_is_no_space_is_refused_with_its_key(told: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_space(told)


def test_a_grid_has_every_value_with_both_ends() -> None:
    values = every_value(
        read_space(
            {"a": {"choice": ["x", None]}, "b": {"int": [1, 5], "step": 2}, "c": {"float": [0, 0.3], "step": 0.1}}
        )
    )
    assert values == {"a": ["x", None], "b": [1, 3, 5], "c": [0.0, 0.1, 0.2, 0.3]}  # 0.3, not 0.1 * 3


@pytest.mark.parametrize("told", [{"float": [0, 1]}, {"float": [1, 2], "log": True}, {"int": [1, 8], "log": True}])
def test_a_grid_refuses_a_range_without_a_step(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"space: a: a grid needs choice: \[\.\.\.\] or a range with a step"):
        every_value(read_space({"a": told}))
