"""Which image files a user means by files, folders and patterns; nothing is opened here."""

import os
from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


class Found(NamedTuple):
    """An image file and the name that its result shall have, relative to the output folder."""

    path: Path
    name: Path


def find_images(sources: Sequence[str | Path]) -> list[Found]:
    """List the image files that files, folders and glob patterns name.

    Folders are searched with all their subfolders, whose names are kept in `Found.name`; what is hidden is passed over.
    A file that is named outright is taken whatever its suffix.

    Args:
        sources: files, folders or patterns such as `holiday/*.jpg`.

    Returns:
        The files, each once, in the order of the sources and sorted within each.

    Raises:
        FileNotFoundError: a source that does not exist, or a pattern that matches no image.
        ValueError: no source at all, or a folder without images.
    """
    if not sources:
        raise ValueError("no images were given; expected images=<file, folder or pattern>")
    found: dict[str, Found] = {}
    for source in sources:
        for item in _expand(_home(str(source))):
            found.setdefault(os.path.abspath(item.path), item)  # noqa: PTH100 (resolve() asks the disk for each)
    return list(found.values())


def refuse_clashes(found: Sequence[Found]) -> None:
    """Refuse two files whose results would have the same name.

    Raises:
        ValueError: names both.
    """
    names: dict[Path, Path] = {}
    for path, name in found:
        if name in names:
            raise ValueError(f"{names[name]} and {path} would both be written as {name}; apply them one at a time")
        names[name] = path


def result_name(name: Path) -> Path:
    """Return the name of a photograph's result: its own, as .png where its suffix is no image format's."""
    return name if name.suffix.lower() in SUFFIXES else name.with_suffix(".png")


def refuse_original(source: Path, target: Path) -> None:
    """Refuse to write a result over the photograph that it was made from.

    Raises:
        ValueError: they are one file.
    """
    if target.exists() and target.samefile(source):
        raise ValueError(f"{source} would be overwritten by its own result; give another output=")


def _home(source: str) -> Path:
    """Expand `~/`, and leave a file that is called `~draft.jpg` alone."""
    return Path(source).expanduser() if source.startswith("~/") else Path(source)


def _is_photograph(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _expand(source: Path) -> Iterable[Found]:
    if source.is_dir():
        list(source.iterdir())  # an unreadable folder is an error; rglob would pass over it
        names = sorted(path.relative_to(source) for path in source.rglob("*") if _is_photograph(path))
        visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
        if not visible:
            raise ValueError(f"no images in folder {source}; expected files ending in {', '.join(SUFFIXES)}")
        return [Found(source / name, name) for name in visible]
    if source.exists():
        return [Found(source, Path(source.name))]
    matches = [Path(match) for match in sorted(glob(str(source), recursive=True))]  # noqa: PTH207 (absolute patterns)
    taken = [path for path in matches if path.is_dir() or _is_photograph(path)]
    if not taken:
        raise FileNotFoundError(f"no such file or folder: {source}")
    return [found for path in taken for found in _expand(path)]
