"""Which folders are run folders, and what their files hold: read with care, since any of them may be broken."""

import json
import os
import re
import socket
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

MARKS = frozenset({"config.yaml", "status.json", "environment.json"})  # a folder with any of them is a run's
_DEEPEST = 50  # nests of a configuration or a record
PASSED_OVER = frozenset({"samples", "checkpoints", "curves", "wandb"})  # of a run folder: many files, never a run
MOST_BYTES = 1_000_000  # of a configuration, a record or a table; what impasto writes has a few thousand


class Found(NamedTuple):
    """The run folders below the named ones, and the folders that could not be searched, with the reason."""

    runs: list[Path]
    closed: dict[Path, str]


def find_runs(sources: Sequence[str]) -> Found:
    """Find run folders: the named folders themselves, and all below them, however deep.

    A run within a run is found too (the trainings of an ablation). Linked folders are searched where they are named
    outright; below, a link is followed only to a run folder itself, so that no circle of links is walked.

    Args:
        sources: folders.

    Returns:
        Run folders, each once, in the order of the sources and sorted within each.

    Raises:
        FileNotFoundError: a source that does not exist.
        ValueError: no source, one that is no folder, or none below a source.
    """
    if not sources:
        raise ValueError("no folders were given; expected runs=<run folder, multirun, or a folder of them>")
    runs: dict[str, Path] = {}
    closed: dict[Path, str] = {}
    for source in sources:
        folder = Path(source).expanduser() if source.startswith("~/") else Path(source)
        if not os.path.lexists(folder):
            raise FileNotFoundError(f"no such folder: {folder}")
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; expected a run folder, a multirun, or a folder of them")
        found = list(_walk(folder, closed))
        if not found and folder not in closed:
            raise ValueError(f"no run folder in {folder}; expected one with config.yaml and status.json, or such below")
        for path in found:
            runs.setdefault(os.path.realpath(path), path)
    return Found(list(runs.values()), closed)


def _walk(top: Path, closed: dict[Path, str]) -> Iterator[Path]:
    waiting, seen = [top], set()
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: natural(entry.name))
        except OSError as error:
            closed[folder] = error.strerror or str(error)
            continue
        seen.add(os.path.realpath(folder))
        is_run = any(entry.name in MARKS for entry in entries)
        if is_run:
            yield folder
        below = [e for e in entries if not e.name.startswith(".") and not (is_run and e.name in PASSED_OVER)]
        waiting += [Path(e.path) for e in reversed(below) if e.name not in MARKS and e.is_dir(follow_symlinks=False)]
        for entry in below:
            if entry.is_symlink() and os.path.realpath(entry.path) not in seen and _is_run(entry.path):
                yield Path(entry.path)


def natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts 2 before 10."""
    return [(int(part[:15]) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def _is_run(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, mark)) for mark in MARKS)  # noqa: PTH113, PTH118 (never raise)


def is_alive(pid: object, *, born: float | None) -> bool:
    """Whether a process is still there, and not another one that was given its number later.

    Args:
        pid: its number, as a file says.
        born: seconds since 1970 by which it ran; None where that is not known.
    """
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


def read_status(folder: Path) -> dict[str, Any]:
    """Return what `status.json` holds; nothing where it is missing or broken."""
    try:
        return read_json(folder, "status.json")
    except (OSError, ValueError):
        return {}


def running_process(folder: Path) -> int | None:
    """Return the number of the process that works in a run folder on this machine; None where there is none."""
    status = read_status(folder)
    try:
        born = datetime.strptime(str(status.get("started")), "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        return None
    here = status.get("host", socket.gethostname()) == socket.gethostname()
    pid = status.get("pid")
    return pid if here and status.get("status") == "running" and is_alive(pid, born=born) else None


def open_inside(folder: Path, name: str) -> int:
    """Open a plain file of a run folder for reading.

    Args:
        folder: the run folder.
        name: of the file, relative to it.

    Returns:
        A file descriptor.

    Raises:
        ValueError: a folder, a pipe or a device, or a link that leads out of the run folder.
        OSError: it cannot be opened.
    """
    path = Path(os.path.realpath(folder / name))
    if not is_inside(path, folder):
        raise ValueError(f"is a link to {path}, outside of the run folder; not followed")
    return open_plain(path)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, and is no link that leads out of it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def open_plain(path: Path) -> int:
    """Open a plain file for reading; a pipe is not waited for.

    Returns:
        A file descriptor.

    Raises:
        ValueError: a folder, a pipe or a device.
        OSError: it cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("is no file" if not path.is_dir() else "is a folder; expected a file")
    return handle


def read_text(folder: Path, name: str) -> str:
    """Read a text file of a run folder, at most `MOST_BYTES` of it.

    Raises:
        ValueError: no plain file, a link that leads out of the run folder, too long, or no text; without its name.
        OSError: it cannot be read.
    """
    with os.fdopen(open_inside(folder, name), "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"has more than {MOST_BYTES:,} bytes; expected far fewer")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is no text: byte {error.start + 1} is not UTF-8") from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object of a run folder.

    Raises:
        ValueError: as `read_text`, no JSON object, or one in deep nests.
        OSError: it cannot be read.
    """
    text = read_text(folder, name)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {_line(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {type(value).__name__}")
    inner: list[Any] = [value]
    for _ in range(_DEEPEST):
        inner = [i for each in inner for i in (each.values() if isinstance(each, dict) else each)]
        inner = [each for each in inner if isinstance(each, dict | list)]
    if inner:
        raise ValueError("has nests that impasto does not write")
    return value


def read_yaml(text: str) -> dict[str, Any]:
    """Read a YAML mapping; nothing but what JSON has is made of it: dates become texts, for example.

    References (`&a`, `*a`) and deep nests are refused: impasto writes none, and a few lines of them can fill the
    memory or never end.

    Raises:
        ValueError: no YAML, or no mapping.
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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def reason(error: Exception) -> str:
    """Say what is wrong with a file, without its name."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror or str(error)
    return str(error)
