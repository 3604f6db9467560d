"""Seconds, measured as one should: warm-up, repeats, median and spread."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from impasto.hardware import synchronise
from impasto.tables import digits


class Timing(NamedTuple):
    """Seconds of one call: the median of the repeats, and the first and third quartile."""

    median: float
    low: float
    high: float
    repeats: int

    def figures(self) -> dict[str, float]:
        """Return "seconds" and its quartiles "low" and "high"."""
        return {"seconds": self.median, "low": self.low, "high": self.high}


def time_calls(function: Callable[[], object], *, warmup: int, repeats: int, device: str) -> Timing:
    """Time a function's calls one by one.

    Args:
        function: what is timed.
        warmup: calls before, not timed: caches fill, kernels are chosen.
        repeats: calls that are timed, at least 1.
        device: "cpu" or "cuda"; a GPU is waited for at both ends.
    """
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronise(device)
        begin = time.perf_counter()
        function()
        synchronise(device)
        seconds.append(time.perf_counter() - begin)
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive") if repeats > 1 else seconds * 3
    return Timing(statistics.median(seconds), low, high, repeats)


def spread(row: Mapping[str, Any], before: str = "") -> str:
    """Word a median with its quartiles, `"0.12 (0.11-0.14)"`, of a row with `Timing.figures` behind a prefix."""
    median, low, high = (digits(row[f"{before}{key}"]) for key in ("seconds", "low", "high"))
    return f"{median} ({low}-{high})"
