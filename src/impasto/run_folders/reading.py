"""Files of a run folder, read with care: any of them may be broken, or a stranger's."""

import csv
import json
import os
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Curve(NamedTuple):
    """A metric over the steps at which it was logged; values may be NaN or infinite."""

    steps: list[float]
    values: list[float]


def open_inside(path: Path, folder: Path) -> BufferedReader:
    """Open a file of a folder; pipes and devices are refused, and so are links that lead out of the folder."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise ValueError(f"is a link to {os.path.realpath(path)}, outside of the run folder; not followed")
    if path.exists() and not path.is_file():
        raise ValueError("is no file")
    return path.open("rb")


def read_text(folder: Path, name: str) -> str:
    """Read a text file of a run folder."""
    with open_inside(folder / name, folder) as file:
        return file.read().decode("utf-8")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object of a run folder."""
    return _mapping(json.loads, read_text(folder, name), "JSON object")


def read_yaml(text: str) -> dict[str, Any]:
    """Read a YAML mapping; nothing but what JSON has is made of it: dates become texts, for example."""
    return _mapping(_load_yaml, text, "YAML mapping")


def _load_yaml(text: str) -> object:
    """Refuse references (`&a`, `*a`): impasto writes none, and a few of them can fill the memory."""
    loader: Any = yaml.SafeLoader if "\\uDC" in text else getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # no UTF-8
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=loader)):
        raise ValueError("references, which impasto does not write")
    return json.loads(json.dumps(yaml.load(text, Loader=loader), default=str))


def _mapping(load: Callable[[str], object], text: str, expected: str) -> dict[str, Any]:
    try:
        value = load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"is no {expected}: {reason(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"is no {expected}, but {type(value).__name__}")
    return value


def read_metrics(folder: Path, name: str = "metrics.csv") -> dict[str, Curve]:
    """Read curves by metric: a table with a column "step", and blanks where a metric was not logged."""
    found: dict[str, Curve] = {}
    rows = csv.DictReader(read_text(folder, name).splitlines(), restval="?")
    try:
        for row in rows:
            step = float(row.pop("step"))
            for metric, text in row.items():
                if text:
                    steps, values = found.setdefault(metric, Curve([], []))
                    steps.append(step)
                    values.append(float(text))
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"line {rows.line_num} of {name} is not numbers by step: {error}") from error
    return found


def reason(error: Exception) -> str:
    """Say what is wrong with a file, in one line and without its name."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:300]
