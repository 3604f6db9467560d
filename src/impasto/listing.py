"""Which image files a user means by files, folders and patterns; no image is opened here."""

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, partial
from glob import glob
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, TypeVar

from impasto.run_folders import MARKS

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")  # of what is written
HEIF = (".heic", ".heif")
ADVICE = "" if find_spec("pillow_heif") else "pip install -e '.[heif]' reads such files"
TAKEN = (
    *(*SUFFIXES, ".apng", ".avif", ".avifs", ".dib", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpf"),
    *(".jpx", ".mpo", ".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".qoi", ".tga", *(() if ADVICE else HEIF)),
)
CLIPS_WRITTEN = (".mp4", ".m4v", ".mov", ".mkv")
CLIPS = (*CLIPS_WRITTEN, ".3gp", ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv")
_NOT_READ = (*HEIF, ".hif", ".jxl", ".svg", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")
_MARK = ".impasto"  # in a folder of results
_T = TypeVar("_T")


def evenly_spread(items: Sequence[_T], count: int | None) -> list[_T]:
    """Choose at most `count` items, spread evenly, in their order; None chooses all."""
    taken = len(items) if count is None else min(count, len(items))
    return [items[number * len(items) // taken] for number in range(taken)]


class Found(NamedTuple):
    """An image file and the name that its result shall have, relative to the output folder."""

    path: Path
    name: Path


def find_images(sources: str | int | Path | Sequence[str | Path] | None, *, output: Path | None = None) -> list[Found]:
    """List the image files that files, folders and glob patterns name; one that names nothing is refused.

    Each comes once, in the order of the sources and sorted within each. Folders are searched with all their subfolders,
    whose names are kept in `Found.name`; what is hidden is passed over, and so are run folders, folders of results and
    `output`, unless they are named themselves. What else cannot be read is counted in a line of the log. A file that is
    named outright is taken whatever it is.
    """
    sources = [str(sources)] if isinstance(sources, str | Path | int) else list(sources or [])  # 2024 may be a folder
    if not sources:
        raise ValueError("no images were given; expected images=<file, folder or pattern>")
    found: dict[str, Found] = {}
    for source in sources:
        path = Path(source).expanduser() if str(source).startswith("~/") else Path(source)  # a file may be ~draft.jpg
        for item in _expand(path, output):
            found.setdefault(os.path.abspath(item.path), item)  # noqa: PTH100 (resolve() asks the disk for each)
    return list(found.values())


def find_photographs(sources: str | Sequence[str] | None, output: Path) -> list[Found]:
    """List the image files, as `find_images`, under the names that their results will have in `output`.

    A result is named as its photograph, but .png where that is of a format which is not written; that of a clip which
    is named outright likewise, but .mkv. Two results of one name are a ValueError, which names both photographs.
    """
    found = find_images(sources, output=output)
    taken = {name for _, name in found}
    sources_by_name: dict[Path, Path] = {}
    for path, name in found:
        written, other_suffix = (CLIPS_WRITTEN, ".mkv") if is_clip(name) else (SUFFIXES, ".png")
        if name.suffix.lower() not in written:
            other = name.with_suffix(other_suffix)
            name = other if other not in taken else name.with_name(f"{name.name}{other_suffix}")
        if (first := sources_by_name.setdefault(name, path)) != path:
            raise ValueError(f"{first} and {path} would both be written as {name}; apply them one at a time")
    return [Found(path, name) for name, path in sources_by_name.items()]


def is_clip(path: Path) -> bool:
    """Whether a name is that of moving pictures."""
    return path.suffix.lower() in CLIPS


def make_results_folder(folder: Path) -> None:
    """Make a folder for results; one that is new or empty is marked, so that no search takes them for photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # one that cannot be written is found before the work, not after
        pass
    if not any(folder.iterdir()):
        (folder / _MARK).write_text("Pictures that impasto made; passed over where a folder around is searched.\n")


def refuse_original(source: Path, target: Path) -> None:
    """Refuse to write a result over the photograph that it was made from."""
    if target.exists() and target.samefile(source):
        raise ValueError(f"{source} would be overwritten by its own result; give another output=")


def _expand(source: Path, output: Path | None) -> list[Found]:
    passed: Counter[str] = Counter()
    if source.is_dir():
        found = _search(source, output, passed)
    elif os.path.lexists(source):  # a link to nothing, too: it costs itself, and not the others
        return [Found(source, Path(source.name))]
    else:
        found = list(_matching(source, output, passed))
    parts = ", ".join(f"{count} {what}" for what, count in passed.items())
    if not found:
        reason = f"passed over: {parts}" if parts else f"expected files ending in {', '.join(TAKEN)}"
        raise ValueError(f"no images in {'folder ' if source.is_dir() else ''}{source}; {reason}")
    if parts:
        log.info("passed over in %s: %s", source, parts)
    return found


def _search(source: Path, output: Path | None, passed: Counter[str]) -> list[Found]:
    """List the images in a folder and below it; count what is passed over."""
    list(source.iterdir())  # an unreadable folder is an error; os.walk would pass over it
    names: list[Path] = []
    for top, folders, files in os.walk(source, onerror=lambda _: passed.update(["folders that cannot be read"])):
        here = Path(top)
        visible = [name for name in folders if not name.startswith(".")]
        passed.update("linked folders" for name in visible if (here / name).is_symlink())
        folders[:] = [name for name in visible if not _is_own(here / name, output, passed)]
        taken = [here / name for name in files if not name.startswith(".") and _is_taken(here / name, passed)]
        names += [path.relative_to(source) for path in taken]
    return [Found(source / name, name) for name in sorted(names)]


def _matching(pattern: Path, output: Path | None, passed: Counter[str]) -> Iterator[Found]:
    """Yield the images that a pattern matches, and those in the folders that it matches."""
    matches = [Path(match) for match in sorted(glob(str(pattern), recursive=True))]  # noqa: PTH207 (absolute patterns)
    if not matches:
        raise FileNotFoundError(f"no such file or folder: {pattern}")
    is_own = cache(partial(_is_own, output=output, passed=passed))
    fixed = len(list(takewhile(lambda part: not set(part) & set("*?["), pattern.parts)))
    for path in matches:
        around = [parent for parent in (path, *path.parents) if len(parent.parts) > fixed and parent.is_dir()]
        if any(is_own(folder) for folder in reversed(around)):
            continue
        if path.is_dir():
            yield from _search(path, output, passed)
        elif _is_taken(path, passed):
            yield Found(path, Path(path.name))


def _is_own(folder: Path, output: Path | None, passed: Counter[str]) -> bool:
    """Whether impasto wrote what is in a folder, a run or results; if so, count it."""
    is_output = output is not None and output.is_dir() and folder.samefile(output)
    is_run = all((folder / mark).is_file() for mark in MARKS)
    own = is_output or is_run or (folder / _MARK).is_file()
    passed.update(["folders that impasto wrote"] * own)
    return own


def _is_taken(path: Path, passed: Counter[str]) -> bool:
    suffix = path.suffix.lower()
    if suffix in TAKEN and path.exists():
        return True
    if suffix in TAKEN:
        passed["links to nothing"] += 1
    elif suffix in _NOT_READ:
        passed[f"{suffix} ({ADVICE})" if suffix in HEIF else suffix] += 1
    elif suffix in CLIPS:
        passed["clips, which are taken where they are named"] += 1
    return False
