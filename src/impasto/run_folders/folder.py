"""A run folder explains itself: configuration, status, environment, metrics, samples, checkpoints, network."""

import json
import os
import re
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from impasto.files import remove_unfinished, short_name, write_text
from impasto.redaction import without_secrets
from impasto.run_folders.reading import Metrics, read_json, read_metrics, read_text, read_yaml

MARKS = frozenset({"config.yaml", "status.json", "environment.json"})  # a folder with any of them is a run's
PASSED_OVER = frozenset({"samples", "checkpoints", "curves", "wandb", "tensorboard"})  # many files, never a run
STATUSES = ("running", "finished", "pruned", "interrupted", "failed")


class RunFolder:
    """Where a run's files are, how they are written, and how they are read. No other place knows their names.

    Readers raise ValueError or OSError where a file is missing, broken, or a link out of the folder; without its name.
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

    def written(self) -> float:
        """Return when its records were written last, in seconds since 1970."""
        return max((file.lstat().st_mtime for mark in MARKS if os.path.lexists(file := self.path / mark)), default=0.0)

    # Writing

    def begin(self, config: str) -> None:
        """Record the configuration (YAML) and that the run goes on; remove what an earlier start left half written."""
        self.path.mkdir(parents=True, exist_ok=True)
        if isinstance(pid := self.status().get("pid"), int):
            remove_unfinished(self.path, pid)
        write_text(self.config_file, without_secrets(config))
        self._write({"status": "running", "started": _clock(), "pid": os.getpid(), "host": socket.gethostname()})

    def end(self, outcome: Mapping[str, Any]) -> None:
        """Record how the run of this process ended; nothing where it has not begun."""
        status = self.status()
        if status.get("pid") == os.getpid() and status.get("status") == "running":
            self._write({**status, **outcome, "ended": _clock()})

    def _write(self, status: Mapping[str, Any]) -> None:
        write_text(self.status_file, without_secrets(json.dumps(status, indent=2)) + "\n")

    def write_environment(self, facts: Mapping[str, Any]) -> None:
        """Record command, packages and machine."""
        write_text(self.environment_file, json.dumps(facts, indent=2) + "\n")

    # Reading

    def status(self) -> dict[str, Any]:
        """Return the record of how the run stands; nothing where it is missing or broken."""
        try:
            return self.read_status()
        except (OSError, ValueError):
            return {}

    def read_status(self) -> dict[str, Any]:
        """Return the record of how the run stands: status, started, pid, and of an ended one ended, seconds, error."""
        record = read_json(self.path, self.status_file.name)
        if record.get("status") not in STATUSES:
            raise ValueError(f"expected a status of {', '.join(STATUSES)}; got {str(record.get('status'))[:60]}")
        return record

    def running_process(self) -> int | None:
        """Return the number of the process that works in the folder on this machine; None where there is none."""
        status = self.status()
        pid, begun = status.get("pid"), moment(status.get("started"))
        born = None if begun is None else begun.timestamp()
        return pid if _goes_on_here(status) and is_alive(pid, born=born) else None

    def has_died(self) -> bool:
        """Whether the run goes on, on this machine, as its record says, and its process is gone."""
        return _goes_on_here(self.status()) and self.running_process() is None

    def read_config_text(self) -> str:
        """Return the resolved configuration as YAML."""
        return read_text(self.path, self.config_file.name)

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return read_yaml(self.read_config_text())

    def read_environment(self) -> dict[str, Any]:
        """Return command, packages and machine."""
        return read_json(self.path, self.environment_file.name)

    def read_words(self) -> list[str]:
        """Return the words of the command line; of a job of a multirun those are its own."""
        words = read_yaml(f"words:\n{read_text(self.path, '.hydra/overrides.yaml')}")["words"]
        return [str(word) for word in words] if isinstance(words, list) else []

    def read_metrics(self, photograph: str = "") -> Metrics:
        """Return the curves of the run, or of one of the photographs of an `impasto optimize`."""
        return read_metrics(self.path, f"curves/{photograph}/metrics.csv" if photograph else "metrics.csv")

    def photographs_with_curves(self) -> list[str]:
        """Return the photographs that have their own curves; "" for the run's own."""
        own = [""] if os.path.lexists(self.metrics_file) else []
        found = sorted(self.curve_folder("").rglob("metrics.csv"))
        return own + [file.parent.relative_to(self.curve_folder("")).as_posix() for file in found]

    def sample_steps(self) -> dict[int, Path]:
        """Return the folders of samples by step, the newest first."""
        folders = [path for path in self.samples.glob("step_*") if re.fullmatch(r"step_\d+", path.name)]
        return dict(sorted(((int(path.name[5:]), path) for path in folders), reverse=True))

    # Places

    def sample(self, step: int, name: str) -> Path:
        """Return the file of a sample."""
        return self.samples / f"step_{step:06d}" / f"{name}.png"

    def sample_sheet(self, step: int) -> Path:
        """Return the file of the sheet of all samples."""
        return self.samples / f"step_{step:06d}.png"

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
    try:
        return datetime.fromisoformat(str(text)).astimezone()
    except (ValueError, OverflowError):
        return None


def is_alive(pid: object, *, born: float | None) -> bool:
    """Whether a process is still there, and not another one that was given its number after `born` (since 1970)."""
    if not isinstance(pid, int) or not 0 < pid < 2**31:
        return False
    try:
        process = psutil.Process(pid)
        late = born is not None and process.create_time() > born + 5
        return not late and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False
