"""A run folder explains itself: configuration, status, environment, metrics, samples, checkpoints, network."""

import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from impasto.files import remove_unfinished, short_name, write_text
from impasto.redaction import without_secrets
from impasto.run_folders.reading import Curve, read_json, read_metrics, read_text, read_yaml

MARKS = frozenset({"config.yaml", "status.json", "environment.json"})  # a folder with any of them is a run's
PASSED_OVER = frozenset({"samples", "checkpoints", "curves", "wandb", "tensorboard"})  # many files, never a run
STATUSES = ("running", "finished", "pruned", "interrupted", "failed")


class RunFolder:
    """Where a run's files are, how they are written, and how they are read. No other place knows their names.

    Readers raise ValueError or OSError where a file is missing, broken, or a link out of the folder.
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
        born = begun.timestamp() if begun else None
        return pid if _goes_on_here(status) and is_alive(pid, born=born) else None

    def has_died(self) -> bool:
        """Whether the run goes on, on this machine, as its record says, and its process is gone."""
        return _goes_on_here(self.status()) and self.running_process() is None

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return read_yaml(read_text(self.path, self.config_file.name))

    def read_environment(self) -> dict[str, Any]:
        """Return command, packages and machine."""
        return read_json(self.path, self.environment_file.name)

    def read_words(self) -> list[str]:
        """Return the words of the command line; of a job of a multirun those are its own."""
        words = read_yaml(f"words:\n{read_text(self.path, '.hydra/overrides.yaml')}")["words"]
        return [str(word) for word in words] if isinstance(words, list) else []

    def read_metrics(self, photograph: str = "") -> dict[str, Curve]:
        """Return the curves of the run, or of one of the photographs of an `impasto optimize`."""
        return read_metrics(self.path, f"curves/{photograph}/metrics.csv" if photograph else "metrics.csv")

    def photographs_with_curves(self) -> list[str]:
        """Return the photographs that have their own curves; "" for the run's own."""
        own, curves = [""] if os.path.lexists(self.metrics_file) else [], self.curve_folder("")
        return own + [file.parent.relative_to(curves).as_posix() for file in sorted(curves.rglob("metrics.csv"))]

    def sample_steps(self) -> dict[int, Path]:
        """Return the folders of samples by step, the newest first."""
        steps = {int(path.name[5:]): path for path in self.samples.glob("step_*") if path.name[5:].isdecimal()}
        return dict(sorted(steps.items(), reverse=True))

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


def find_runs(sources: Sequence[str]) -> list[Path]:
    """Find run folders: the named folders themselves, and all below them, however deep, runs within runs included.

    Returns:
        Run folders, each once, in the order of the sources and sorted within each.

    Raises:
        FileNotFoundError: a source that is no folder.
        ValueError: no source, or none below a source.
    """
    if not sources:
        raise ValueError("no folders were given; expected runs=<run folder, multirun, or a folder of them>")
    runs: dict[str, Path] = {}
    for source in sources:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"no such folder: {folder}")
        if not (found := list(_walk(folder))):
            raise ValueError(f"no run folder in {folder}; expected one with config.yaml and status.json, or such below")
        for path in found:
            runs.setdefault(os.path.realpath(path), path)
    return list(runs.values())


def _walk(top: Path) -> Iterator[Path]:
    for base, folders, _ in os.walk(top):
        if is_run := RunFolder(Path(base)).is_run():
            yield Path(base)
        folders[:] = [name for name in folders if not name.startswith(".") and not (is_run and name in PASSED_OVER)]
        folders.sort(key=natural)


def natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts 2 before 10."""
    return [(int(part[:15]) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Name folders apart: their paths from the folder above all of them; jobs (0, 1, ...) have two."""
    paths = [Path(os.path.abspath(folder)) for folder in folders]  # noqa: PTH100 (links keep their names)
    above = os.path.commonpath([path.parent.parent if path.name.isdigit() else path.parent for path in paths])
    return [path.relative_to(above).as_posix() for path in paths]
