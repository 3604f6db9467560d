"""A run folder as its dashboard wants it: configuration, numbers by step, sheets of samples by step."""

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from impasto.redaction import without_secrets
from impasto.run_folders import is_inside, read_yaml

_SHEET = re.compile(r"step_(\d+)\.png")


class RecordedRun(NamedTuple):
    """What a run folder holds.

    Attributes:
        folder: where it is.
        name: the folder's; of a job of a multirun with the multirun's before it.
        config: by dotted key, with what `status.json` says.
        rows: metrics by step; the values may be infinite or no number.
        sheets: pictures of samples by step.
        digest: changes when any of these does.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    rows: dict[int, dict[str, float]]
    sheets: dict[int, Path]
    digest: str

    @property
    def identity(self) -> str:
        """What stays the same when the run goes on, or its folder moves."""
        known = str(self.config.get("run_id", "none"))
        return str(self.folder) if known == "none" else known


def read_recorded_run(folder: Path, *, most_sheets: int) -> RecordedRun:
    """Read a run folder, also that of a run in progress.

    Args:
        folder: with config.yaml; what else is missing counts as empty.
        most_sheets: pictures at most, evenly spread over the steps with the newest among them.

    Raises:
        ValueError: a file of it is broken; names the file.
        OSError: one cannot be read.
    """
    parts = [folder / name for name in ("config.yaml", "status.json", "metrics.csv")]
    texts = {path: path.read_bytes() if path.is_file() and is_inside(path, folder) else b"" for path in parts}
    config_file, status_file, metrics_file = parts
    config = flatten(_mapping(config_file, texts[config_file], read_yaml))
    status = _mapping(status_file, texts[status_file] or b"{}", json.loads)
    config |= {key: str(status[key]) for key in ("status", "started", "ended", "error") if key in status}
    every = {int(match[1]): path for path in _files(folder / "samples") if (match := _SHEET.fullmatch(path.name))}
    sheets = _spread(dict(sorted(every.items())), most_sheets)
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sheets.values()]
    digest = hashlib.sha256(repr((folder, *texts.values(), stats)).encode()).hexdigest()
    is_job = folder.name.isdecimal() and (folder.parent / "multirun.yaml").is_file()
    name = f"{folder.parent.name}-{folder.name}" if is_job else folder.name
    return RecordedRun(folder, name, config, _rows(metrics_file, texts[metrics_file]), sheets, digest)


def _mapping(path: Path, text: bytes, parse: Any) -> dict[str, Any]:  # noqa: ANN401 (json.loads, read_yaml)
    try:
        value = parse(without_secrets(text.decode("utf-8")))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: expected keys and values, got {type(value).__name__}")
    return value


def _rows(path: Path, text: bytes) -> dict[int, dict[str, float]]:
    rows = {}
    try:
        for row in csv.DictReader(text.decode("utf-8").splitlines(), strict=True):
            step = int(row.pop("step"))
            rows[step] = {name: float(value) for name, value in row.items() if value}
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise ValueError(f"{path} is damaged: expected a column step and numbers ({error})") from error
    return rows


def _files(folder: Path) -> list[Path]:
    inside = folder.is_dir() and is_inside(folder, folder.parent)
    return [path for path in folder.iterdir() if path.is_file() and is_inside(path, folder)] if inside else []


def _spread(sheets: dict[int, Path], most: int) -> dict[int, Path]:
    if len(sheets) <= most:
        return sheets
    steps = list(sheets)[::-1]  # counted from the newest
    kept = {steps[round(index * (len(steps) - 1) / max(1, most - 1))] for index in range(most)}
    return {step: path for step, path in sheets.items() if step in kept}


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401 (any YAML)
    """Turn nested keys into dotted ones; lists of plain values stay lists.

    Args:
        value: a mapping, as YAML gives it.
        prefix: stands before every key.
    """
    flat: dict[str, Any] = {}
    for key, item in value.items():
        dotted = f"{prefix}{key}"
        flat |= flatten(item, f"{dotted}.") if isinstance(item, dict) and item else {dotted: item}
    return flat
