"""Axes of a sweep's plots: linear, logarithmic or of names, with their ticks."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from impasto.report.sweep_shown import finite
from impasto.report.texts import clean

_DECADES = 2.0  # an axis that spans more is logarithmic
_MOST_NAMES = 8  # that are written below an axis
_MOST_LETTERS = 52  # of all of them together


class Tick(NamedTuple):
    """A place along an axis, from 0 to 1, and what stands there."""

    place: float
    text: str


class Axis(NamedTuple):
    """Where values stand.

    Attributes:
        low: the least value, or its logarithm.
        high: the greatest.
        log: whether it is logarithmic.
        names: where the values are none that can be measured: their places in order.
        ticks: to draw.
    """

    low: float
    high: float
    log: bool
    names: dict[str, int]
    ticks: list[Tick]

    def place(self, value: object) -> float:
        """Return where a value stands, from 0 to 1; NaN for one that has no place."""
        if self.names:
            return (self.names[clean(value)] + 0.5) / len(self.names) if clean(value) in self.names else math.nan
        drawn = finite(value)
        if drawn is None or (self.log and drawn <= 0):
            return math.nan
        return ((math.log10(drawn) if self.log else drawn) - self.low) / (self.high - self.low)


def make_axis(values: Sequence[object], *, whole: bool = False) -> Axis:
    """Choose an axis on which all values can be told apart.

    Args:
        values: numbers, or anything else; with one that is no number all are names.
        whole: they are counted: the axis is linear, and its ticks are whole numbers.
    """
    drawn = [finite(value) for value in values]
    if any(value is None for value in drawn):
        return _of_names(list(dict.fromkeys(clean(value) for value in values)))
    numbers = [value for value in drawn if value is not None] or [0.0]
    low, high = min(numbers), max(numbers)
    log = not whole and low > 0 and math.log10(high) - math.log10(low) > _DECADES
    if log:
        low, high = math.log10(low), math.log10(high)
    if low == high:
        low, high = low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1)
    pad = (high - low) * 0.05
    low, high = low - pad, high + pad
    ticks = _log_ticks(low, high) if log else _ticks(low, high, whole=whole)
    return Axis(low, high, log, {}, [Tick((value - low) / (high - low), text) for value, text in ticks])


def _of_names(names: list[str]) -> Axis:
    names.sort()
    places = {name: place for place, name in enumerate(names)}
    every = math.ceil(len(names) / _MOST_NAMES)
    most = _MOST_LETTERS // math.ceil(len(names) / every)
    ticks = [
        Tick((place + 0.5) / len(names), name if len(name) <= most else f"{name[: most - 1]}\u2026")
        for name, place in places.items()
        if place % every == 0
    ]
    return Axis(0.0, 1.0, False, places, ticks)


def _ticks(low: float, high: float, *, whole: bool) -> list[tuple[float, str]]:
    """Some five round numbers between the ends."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step) if step else 0
    values = [(first + index) * step for index in range(12) if (first + index) * step <= high]
    return [(value, say_tick(value)) for value in values if not whole or value == int(value)]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten, every so many of them; at most six."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    every = math.ceil((last - first + 1) / 6)
    return [(float(power), say_tick(10.0**power)) for power in range(first, last + 1, every)]


def say_tick(value: float) -> str:
    """Say a round number shortly: `"0.05"`, `"2e-5"`, `"1e6"`."""
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e5):
        digits, _, power = f"{value:.3e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return f"{value:.6g}"
