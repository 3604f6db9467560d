"""Photographs per second of a DataLoader whose batches never end."""

import itertools
from collections.abc import Iterable
from typing import Any

from impasto.evaluation.timing import time_calls

Row = dict[str, Any]


def measure_loading(batches: Iterable[object], *, batch_size: int, count: int, warmup: int, repeats: int) -> Row:
    """Time how fast batches come while nothing else is done with them.

    Args:
        batches: without end.
        batch_size: photographs in each.
        count: batches of one repeat.
        warmup: repeats before, not timed: workers start, the files come into the page cache.
        repeats: that are timed.

    Returns:
        Plain numbers: photographs per second, the median and the quartiles.
    """
    coming = iter(batches)

    def take() -> None:
        for _ in itertools.islice(coming, count):
            pass

    timing = time_calls(take, warmup=warmup, repeats=repeats, device="cpu")
    photographs = count * batch_size
    return {
        "images_per_second": photographs / timing.median,
        "low": photographs / timing.high,
        "high": photographs / timing.low,
    }
