"""Files of a run folder, read with care: any of them may be broken, or a stranger's."""

import csv
import json
import math
import os
from array import array
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_MOST_BYTES = 1_000_000  # of a configuration, a record or a table; what impasto writes has a few thousand
_MOST_BYTES_OF_METRICS = 64_000_000
_DEEPEST = 50  # nests of a configuration


class Curve(NamedTuple):
    """A metric over the steps at which it was logged; values may be NaN or infinite."""

    steps: Sequence[float]
    values: Sequence[float]


class Metrics(NamedTuple):
    """Curves by metric, sorted by step, and what is wrong with the file."""

    curves: dict[str, Curve]
    problems: list[str]


def open_plain(path: Path) -> BufferedReader:
    """Open a plain file for reading; a folder, a pipe or a device is refused, and not waited for."""
    if path.exists() and not path.is_file():
        raise ValueError("is a folder; expected a file" if path.is_dir() else "is no file")
    return path.open("rb")


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, and is no link that leads out of it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def read_text(folder: Path, name: str, *, most: int = _MOST_BYTES) -> str:
    """Read a text file of a run folder, of at most so many bytes; links out of the folder are not followed."""
    path = folder / name
    if not is_inside(path, folder):
        raise ValueError(f"is a link to {os.path.realpath(path)}, outside of the run folder; not followed")
    with open_plain(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"has more than {most:,} bytes; expected far fewer")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is no text: byte {error.start + 1} is not UTF-8") from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object of a run folder."""
    text = read_text(folder, name)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {_line(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {type(value).__name__}")
    return value


def read_yaml(text: str) -> dict[str, Any]:
    """Read a YAML mapping; nothing but what JSON has is made of it: dates become texts, for example.

    References (`&a`, `*a`) and deep nests are refused: impasto writes none, and a few of them can fill the memory.
    """
    loader: Any = yaml.SafeLoader if "\\uDC" in text else getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # no UTF-8
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
                raise ValueError("references or nests that impasto does not write")
        value = json.loads(json.dumps(yaml.load(text, Loader=loader), default=str))
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"is no YAML: {_line(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected a YAML mapping, got {type(value).__name__}")
    return value


def read_metrics(folder: Path, name: str = "metrics.csv") -> Metrics:
    """Read numbers by step; what cannot be read is left out and said.

    The table has a column "step", and blanks where a metric was not logged.
    """
    rows = csv.DictReader(read_text(folder, name, most=_MOST_BYTES_OF_METRICS).splitlines(), restval="?")
    found: dict[str, list[tuple[float, float]]] = {}
    bad: list[int] = []
    problems = []
    try:
        if "step" not in (header := rows.fieldnames or []):
            problems.append(f"expected a table with a column 'step', got '{', '.join(header)[:60]}'")
            return Metrics({}, problems)
        for row in rows:
            try:
                step = float(row.pop("step"))
                if not math.isfinite(step):
                    raise ValueError(f"step {step}")
                for metric, text in row.items():
                    if text and metric:
                        found.setdefault(metric, []).append((step, float(text)))
            except (ValueError, TypeError):
                bad.append(rows.line_num)
    except csv.Error as error:
        problems.append(f"cannot be read from line {rows.line_num + 1} on: {error}")
    if bad:
        several = f"{len(bad)} lines are damaged, the first is line {bad[0]}"
        problems.append(
            f"{several if len(bad) > 1 else f'line {bad[0]} is damaged'}; what could not be read is left out"
        )
    return Metrics({metric: _curve(pairs) for metric, pairs in found.items()}, problems)


def _curve(pairs: list[tuple[float, float]]) -> Curve:
    pairs.sort(key=lambda pair: pair[0])
    return Curve(array("d", (step for step, _ in pairs)), array("d", (value for _, value in pairs)))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def reason(error: Exception) -> str:
    """Say what is wrong with a file, without its name."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror or str(error)
    return str(error)
