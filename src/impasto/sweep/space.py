"""The search space: which keys of a training are tried, and with which values."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from impasto.suggest import did_you_mean

Space = Mapping[str, BaseDistribution]  # by key of the training's configuration, such as "loss.weights.style"

_KINDS = ("float", "int", "choice")
_FURTHER = {"float": ("log", "step"), "int": ("log", "step"), "choice": ()}


def read_space(told: Mapping[str, Any] | None) -> dict[str, BaseDistribution]:
    """Read a search space as conf/sweep/ writes it.

    Args:
        told: by key, `{float: [low, high]}`, `{int: [low, high]}` or `{choice: [...]}`; numbers may have `log: true`,
            which searches their logarithms, or a `step`. Both ends are included. What is null is not searched.

    Returns:
        Optuna's distributions.

    Raises:
        ValueError: an empty space or range, a misspelt kind, a logarithm of what is not positive, or a step that
            passes over the higher end; names the key.
    """
    if not isinstance(told, Mapping) or all(value is None for value in told.values()):
        raise ValueError(
            f"expected a search space, got {told or 'none'}; sweep=... chooses one, "
            "space={<key>: {float: [0, 1]}} is one"
        )
    return {str(key): _distribution(str(key), value) for key, value in told.items() if value is not None}


def _distribution(key: str, told: Any) -> BaseDistribution:  # noqa: ANN401 (any YAML)
    if not isinstance(told, Mapping):
        raise ValueError(
            f"space: {key}: expected {{float: [low, high]}}, {{int: ...}} or {{choice: [...]}}, got {told}"
        )
    kinds = [kind for kind in _KINDS if kind in told]
    if len(kinds) != 1:
        wrong = next((str(word) for word in told if word not in _KINDS), "")
        raise ValueError(
            f"space: {key}: expected one of {', '.join(_KINDS)}{did_you_mean(wrong, _KINDS)}; got {dict(told)}"
        )
    kind = kinds[0]
    for word in told:
        if word not in (kind, *_FURTHER[kind]):
            raise ValueError(f"space: {key}: '{word}' is no word of a {kind}{did_you_mean(str(word), _FURTHER[kind])}")
    if kind == "choice":
        return _choice(key, told["choice"])
    return _range(key, kind, told)


def _choice(key: str, choices: Any) -> CategoricalDistribution:  # noqa: ANN401
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise ValueError(f"space: {key}: expected choice: [one, two, ...], got {choices}")
    for index, choice in enumerate(choices):
        if not isinstance(choice, str | int | None) and not (isinstance(choice, float) and math.isfinite(choice)):
            raise ValueError(f"space: {key}: expected words and numbers to choose from, got {choice}")
        if choice in choices[:index]:
            raise ValueError(f"space: {key}: {choice} is there twice")
    return CategoricalDistribution(list(choices))


def _range(key: str, kind: str, told: Mapping[str, Any]) -> FloatDistribution | IntDistribution:
    ends, log, step = told[kind], told.get("log", False), told.get("step")
    number = int if kind == "int" else int | float
    right = isinstance(ends, Sequence) and not isinstance(ends, str) and len(ends) == 2
    if not right or not all(
        isinstance(end, number) and not isinstance(end, bool) and math.isfinite(end) for end in ends
    ):
        raise ValueError(f"space: {key}: expected {kind}: [low, high], got {ends}")
    low, high = ends
    if low > high:
        raise ValueError(f"space: {key}: the range from {low} to {high} is empty; expected the lower end first")
    if not isinstance(log, bool) or (step is not None and not _is_step(step, number)):
        raise ValueError(f"space: {key}: expected log: true or false and a step above 0, got log {log} and step {step}")
    if log and step is not None:
        raise ValueError(f"space: {key}: log and step exclude each other")
    if log and low <= 0:
        raise ValueError(f"space: {key}: a logarithmic range begins above 0, got {low}")
    if step is not None and (rest := (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step))):
        nearest = Decimal(str(high)) - rest
        raise ValueError(f"space: {key}: steps of {step} from {low} pass over {high}; expected [{low}, {nearest}]")
    if kind == "int":
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=step)


def _is_step(step: Any, number: Any) -> bool:  # noqa: ANN401
    return isinstance(step, number) and not isinstance(step, bool) and math.isfinite(step) and step > 0


def ends(distribution: BaseDistribution) -> list[Any]:
    """Return the values to try before anything is trained: both ends of a range, or all choices."""
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return list(dict.fromkeys([distribution.low, distribution.high]))
    assert isinstance(distribution, CategoricalDistribution)
    return list(distribution.choices)


def every_value(space: Space) -> dict[str, list[Any]]:
    """Return all values of each key, for a grid.

    Raises:
        ValueError: a float without a step has too many.
    """
    values: dict[str, list[Any]] = {}
    for key, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            values[key] = list(distribution.choices)
        elif isinstance(distribution, IntDistribution) and not distribution.log:
            values[key] = list(range(distribution.low, distribution.high + 1, distribution.step))
        elif isinstance(distribution, FloatDistribution) and distribution.step is not None:
            low, high, step = (Decimal(str(n)) for n in (distribution.low, distribution.high, distribution.step))
            values[key] = [float(low + index * step) for index in range(int((high - low) / step) + 1)]
        else:
            raise ValueError(f"space: {key}: a grid needs choice: [...] or a range with a step")
    return values
