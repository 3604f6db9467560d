"""Which folders are run folders, and what to call them."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from impasto.run_folders.folder import PASSED_OVER, RunFolder


class Found(NamedTuple):
    """The run folders below the named ones, and the folders that could not be searched, with the reason."""

    runs: list[Path]
    closed: dict[Path, str]


def find_runs(sources: Sequence[str]) -> Found:
    """Find run folders: the named folders themselves, and all below them, however deep, runs within runs included.

    Below the named folders a link is followed only to a run folder itself, so that no circle of links is walked.

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
    def close(error: OSError) -> None:
        closed[Path(error.filename)] = error.strerror or str(error)

    for base, folders, _ in os.walk(top, onerror=close):
        is_run = RunFolder(Path(base)).is_run()
        if is_run:
            yield Path(base)
        folders[:] = [name for name in folders if not name.startswith(".") and not (is_run and name in PASSED_OVER)]
        folders.sort(key=natural)
        yield from (path for name in folders if (path := Path(base, name)).is_symlink() and RunFolder(path).is_run())


def natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts 2 before 10."""
    return [(int(part[:15]) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Names that tell folders apart: their paths from the folder above all of them; jobs (0, 1, ...) have two."""
    paths = [Path(os.path.abspath(folder)) for folder in folders]  # noqa: PTH100 (links keep their names)
    parents = [path.parent.parent if path.name.isdigit() else path.parent for path in paths]
    above = os.path.commonpath(parents or [Path("/")])
    return [path.relative_to(above).as_posix() for path in paths]
