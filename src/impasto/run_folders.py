"""A run folder explains itself: configuration, status, environment, metrics, samples, checkpoints, network."""

import csv
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from impasto.files import remove_unfinished, short_name, write_text
from impasto.redaction import without_secrets

MARKS = frozenset({"config.yaml", "status.json", "environment.json"})  # a folder with any of them is a run's
PASSED_OVER = frozenset({"samples", "checkpoints", "curves", "wandb", "tensorboard"})  # many files, never a run
STATUSES = ("running", "finished", "pruned", "interrupted", "failed")


class Curve(NamedTuple):
    """A metric over the steps at which it was logged; values may be NaN or infinite."""

    steps: list[float]
    values: list[float]


class RunFolder:
    """Where a run's files are, how they are written, and how they are read. No other place knows their names.

    What is read may be broken, or a stranger's: readers raise ValueError or OSError where a file is missing, broken, or
    a link out of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.yaml"
        self.status_file = path / "status.json"
        self.environment_file = path / "environment.json"
        self.metrics_file = path / "metrics.csv"
        self.network_file = path / "network.safetensors"
        self.samples = path / "samples"
        self.last_checkpoint = path / "checkpoints" / "last.ckpt"

    def is_run(self) -> bool:
        """Whether the folder is a run's."""
        return any(os.path.isfile(self.path / mark) for mark in MARKS)  # noqa: PTH113 (never raises)

    def can_go_on(self) -> bool:
        """Whether a training has all that resuming it needs."""
        records = (self.config_file, self.status_file, self.environment_file, self.path / ".hydra" / "config.yaml")
        return all(file.is_file() for file in (self.last_checkpoint, *records))

    # Writing

    def begin(self, config: str, environment: Mapping[str, Any] | None = None) -> None:
        """Record the configuration (YAML) and that the run goes on; remove what an earlier start left half written.

        The environment is command, packages and machine; None keeps what is recorded.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if isinstance(pid := self.status().get("pid"), int):
            remove_unfinished(self.path, pid)
        write_text(self.config_file, without_secrets(config))
        if environment is not None:
            write_text(self.environment_file, json.dumps(environment, indent=2) + "\n")
        self._write({"status": "running", "started": _clock(), "pid": os.getpid(), "host": socket.gethostname()})

    def end(self, outcome: Mapping[str, Any]) -> None:
        """Record how the run of this process ended; nothing where it has not begun."""
        status = self.status()
        if status.get("pid") == os.getpid() and status.get("status") == "running":
            self._write({**status, **outcome, "ended": _clock()})

    def _write(self, status: Mapping[str, Any]) -> None:
        write_text(self.status_file, without_secrets(json.dumps(status, indent=2)) + "\n")

    # Reading

    def read_text(self, name: str) -> str:
        """Read a text file."""
        with open_inside(self.path / name, self.path) as file:
            return file.read().decode("utf-8")

    def read_status(self) -> dict[str, Any]:
        """Return the record of how the run stands: status, started, pid, and of an ended one ended, seconds, error."""
        record = _mapping(json.loads, self.read_text("status.json"), "JSON object")
        if record.get("status") not in STATUSES:
            raise ValueError(f"expected a status of {', '.join(STATUSES)}; got {str(record.get('status'))[:60]}")
        return record

    def status(self) -> dict[str, Any]:
        """Return the same; nothing where it is missing or broken."""
        with suppress(OSError, ValueError):
            return self.read_status()
        return {}

    def running_process(self) -> int | None:
        """Return the number of the process that works in the folder on this machine; None where there is none."""
        status = self.status()
        pid, begun = status.get("pid"), moment(status.get("started"))
        born = begun.timestamp() if begun else None
        return pid if _goes_on_here(status) and is_alive(pid, born=born) else None

    def has_died(self) -> bool:
        """Whether the run goes on, on this machine, as its record says, and its process is gone."""
        return _goes_on_here(self.status()) and self.running_process() is None

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return read_yaml(self.read_text("config.yaml"))

    def read_environment(self) -> dict[str, Any]:
        """Return command, packages and machine."""
        return _mapping(json.loads, self.read_text("environment.json"), "JSON object")

    def read_words(self) -> list[str]:
        """Return the words of the command line; of a job of a multirun those are its own."""
        words = read_yaml(f"words:\n{self.read_text('.hydra/overrides.yaml')}")["words"]
        return [str(word) for word in words] if isinstance(words, list) else []

    def read_metrics(self, photograph: str = "") -> dict[str, Curve]:
        """Return the curves of the run, or of one of the photographs of an `impasto optimize`, by metric."""
        name = f"curves/{photograph}/metrics.csv" if photograph else "metrics.csv"
        found: dict[str, Curve] = {}
        rows = csv.DictReader(self.read_text(name).splitlines(), restval="?")
        try:
            for row in rows:
                step = float(row.pop("step"))
                for metric, text in row.items():
                    if text:  # else it was not logged
                        curve = found.setdefault(metric, Curve([], []))
                        curve.steps.append(step)
                        curve.values.append(float(text))
        except (csv.Error, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"line {rows.line_num} of {name} is not numbers by step: {error}") from error
        return found

    def photographs_with_curves(self) -> list[str]:
        """Return the photographs that have their own curves; "" for the run's own."""
        own, curves = [""] if os.path.lexists(self.metrics_file) else [], self.curve_folder("")
        return own + [file.parent.relative_to(curves).as_posix() for file in sorted(curves.rglob("metrics.csv"))]

    def sample_steps(self) -> dict[int, Path]:
        """Return the folders of samples by step, the newest first."""
        steps = {int(path.name[5:]): path for path in self.samples.glob("step_*") if path.name[5:].isdecimal()}
        return dict(sorted(steps.items(), reverse=True))

    # Places

    def sample(self, step: int, name: str = "") -> Path:
        """Return the file of a sample; without a name, that of the sheet of all."""
        return self.samples / f"step_{step:06d}{name and '/'}{name}.png"

    def sample_photograph(self, name: str) -> Path:
        """Return the file of the photograph of a sample."""
        return self.samples / "photographs" / f"{name}.png"

    def curve_folder(self, name: str | Path) -> Path:
        """Return the folder of the curves of one of several photographs."""
        return self.path / "curves" / name

    def checkpoint_of(self, name: Path) -> Path:
        """Return the checkpoint of a photograph."""
        return self.path / "checkpoints" / name.with_name(f"{short_name(name.name)}.pt")


def _goes_on_here(status: Mapping[str, Any]) -> bool:
    return status.get("status") == "running" and status.get("host", socket.gethostname()) == socket.gethostname()


def _clock() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def moment(text: object) -> datetime | None:
    """Read a time as the status has it; None where it is none."""
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(str(text)).astimezone()
    return None


def is_alive(pid: object, *, born: float | None) -> bool:
    """Whether a process is still there, and not another one that was given its number after `born` (since 1970)."""
    if not isinstance(pid, int) or not 0 < pid < 2**31:
        return False
    try:
        process = psutil.Process(pid)
        late = born is not None and process.create_time() > born + 5
        return not late and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error as error:
        return isinstance(error, psutil.AccessDenied)


def open_inside(path: Path, folder: Path) -> BufferedReader:
    """Open a file of a folder; pipes and devices are refused, and so are links that lead out of the folder."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise ValueError(f"is a link to {os.path.realpath(path)}, outside of the run folder; not followed")
    if path.exists() and not path.is_file():
        raise ValueError("is no file")
    return path.open("rb")


def read_yaml(text: str) -> dict[str, Any]:
    """Read a YAML mapping; nothing but what JSON has is made of it: dates become texts, for example.

    References (`&a`, `*a`) are refused: impasto writes none, and a few of them can fill the memory.
    """

    def load(text: str) -> object:
        loader: Any = yaml.SafeLoader if "\\uDC" in text else getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # no UTF-8
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=loader)):
            raise ValueError("references, which impasto does not write")
        return json.loads(json.dumps(yaml.load(text, Loader=loader), default=str))

    return _mapping(load, text, "YAML mapping")


def _mapping(load: Callable[[str], object], text: str, expected: str) -> dict[str, Any]:
    try:
        value = load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"is no {expected}: {reason(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"is no {expected}, but {type(value).__name__}")
    return value


def reason(error: Exception) -> str:
    """Say what is wrong with a file, in one line and without its name."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:300]
