"""metrics.csv as curves: read a bounded part of it, then thin each curve and keep its extremes."""

import csv
import math
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

from impasto.run_folders import open_inside

MOST_METRICS = 80  # of a file; what impasto writes has a dozen
MOST_CHARACTERS = 64_000_000  # of a file: some million values
_LONGEST_LINE = 100_000


class Curve(NamedTuple):
    """A metric over the steps at which it was logged; values may be NaN or infinite."""

    steps: "array[float]"
    values: "array[float]"


class Summary(NamedTuple):
    """What a curve comes to, over all its values, before it is thinned."""

    logged: int
    last: float
    least: float
    greatest: float


@dataclass
class Metrics:
    """What a metrics.csv holds.

    Attributes:
        curves: by metric, thinned.
        summaries: by metric.
        problems: what is wrong with the file.
    """

    curves: dict[str, Curve] = field(default_factory=dict)
    summaries: dict[str, Summary] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_metrics(folder: Path, name: str, *, points: int) -> Metrics:
    """Read the metrics of a run folder.

    Args:
        folder: the run folder.
        name: of the file, relative to it.
        points: of a curve at most.

    Returns:
        What could be read; what could not be is among its problems.

    Raises:
        ValueError: no plain file, or a link that leads out of the run folder.
        OSError: it cannot be read.
    """
    metrics = Metrics()
    with os.fdopen(open_inside(folder, name), encoding="utf-8", errors="replace", newline="") as file:
        curves = _read(file, metrics.problems)
    for metric, curve in curves.items():
        if curve.steps:
            curve = _sorted(curve)
            metrics.summaries[metric] = summarise(curve)
            metrics.curves[metric] = thin(curve, points)
    return metrics


def _read(file: TextIO, problems: list[str]) -> dict[str, Curve]:
    reader = csv.reader(_lines(file, problems))
    bad: list[int] = []
    curves: list[tuple[str, Curve]] = []
    try:
        header = next(reader, [])
        if "step" not in header:
            told = f"'{', '.join(header)[:60]}'" if header else "an empty file"
            problems.append(f"expected a table with a column 'step', got {told}")
            return {}
        step_column, names = header.index("step"), dict.fromkeys(name for name in header if name not in ("", "step"))
        if len(names) > MOST_METRICS:
            problems.append(f"has {len(names)} metrics; the first {MOST_METRICS} are shown")
        columns = [(header.index(name), name) for name in list(names)[:MOST_METRICS]]
        curves = [(name, Curve(array("d"), array("d"))) for _, name in columns]
        places = [(index, curve) for (index, _), (_, curve) in zip(columns, curves, strict=True)]
        for row in reader:
            if not _add(row, step_column, places):
                bad.append(reader.line_num)
    except csv.Error as error:
        problems.append(f"cannot be read from line {reader.line_num} on: {error}")
    if bad:
        told = (
            f"{len(bad)} lines are damaged, the first is line {bad[0]}" if len(bad) > 1 else f"line {bad[0]} is damaged"
        )
        problems.append(f"{told}; what could not be read is left out")
    return dict(curves)


def _lines(file: TextIO, problems: list[str]) -> Iterator[str]:
    left = MOST_CHARACTERS
    while line := file.readline(_LONGEST_LINE):
        left -= len(line)
        if left < 0:
            problems.append(f"only its first {MOST_CHARACTERS:,} characters are shown")
            return
        yield line


def _add(row: list[str], step_column: int, places: list[tuple[int, Curve]]) -> bool:
    """Add a row's values; return whether all of it could be read. Blank: not logged at this step."""
    if not row:
        return True
    try:
        step = float(row[step_column])
    except (ValueError, IndexError):
        return False
    if not math.isfinite(step):
        return False
    whole = True
    for index, curve in places:
        text = row[index] if index < len(row) else None
        if text:
            try:
                curve.values.append(float(text))
            except ValueError:
                whole = False
            else:
                curve.steps.append(step)
        whole = whole and text is not None
    return whole


def _sorted(curve: Curve) -> Curve:
    steps = curve.steps
    if all(steps[i] <= steps[i + 1] for i in range(len(steps) - 1)):
        return curve
    order = sorted(range(len(steps)), key=steps.__getitem__)
    return Curve(array("d", (steps[i] for i in order)), array("d", (curve.values[i] for i in order)))


def summarise(curve: Curve) -> Summary:
    """Return what a curve comes to; NaN for least and greatest where no value is a number."""
    numbers = [value for value in curve.values if not math.isnan(value)] or [math.nan]
    return Summary(len(curve.values), curve.values[-1], min(numbers), max(numbers))


def thin(curve: Curve, points: int) -> Curve:
    """Keep at most so many points: the ends, and of each stretch its least, its greatest and what is not finite.

    Args:
        curve: sorted by step.
        points: at least 8.

    Returns:
        Points of the curve, in its order; the curve itself where it is short enough.
    """
    count = len(curve.steps)
    if count <= points:
        return curve
    finite = [math.isfinite(value) for value in curve.values]
    stretches = (points - 2) // (2 if all(finite) else 5)
    kept = {0, count - 1}
    for stretch in range(stretches):
        inside = range(stretch * count // stretches, (stretch + 1) * count // stretches)
        numbers = [i for i in inside if finite[i]]
        if numbers:
            kept |= {min(numbers, key=curve.values.__getitem__), max(numbers, key=curve.values.__getitem__)}
        others = {str(curve.values[i]): i for i in inside if not finite[i]}  # one each of nan, inf and -inf
        kept |= set(others.values())
    order = sorted(kept)
    return Curve(array("d", (curve.steps[i] for i in order)), array("d", (curve.values[i] for i in order)))
