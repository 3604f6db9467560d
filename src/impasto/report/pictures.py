"""Which pictures a run folder has: samples beside their photographs, results, plots. Nothing is decoded here."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from impasto.listing import SUFFIXES, find_photographs
from impasto.report.texts import clean
from impasto.report.thumbnails import Thumbnail
from impasto.run_folders import PASSED_OVER, RunFolder, is_inside

_MOST_STEPS = 6  # of a photograph: the newest, and others evenly before it
_MOST_FILES = 2_000  # of a folder that is looked into
_RESULTS = frozenset({"images", "overwrite"})  # keys of the commands whose results are pictures


@dataclass
class Picture:
    """A picture of a run, and what the page shows of it once it has been made small."""

    label: str  # "photograph", "step 700", "result", or the file's name
    file: Path
    path: str = ""  # of the file, as it is shown
    thumbnail: Thumbnail | None = None


@dataclass
class Comparison:
    """A photograph and what became of it, the newest first."""

    name: str
    before: Picture | None = None  # where its file is known
    after: list[Picture] = field(default_factory=list)
    left_out: int = 0  # pictures between those


class Pictures(NamedTuple):
    """Pictures of a run folder: plots in the folder itself, and samples and results by photograph."""

    plots: list[Picture]
    comparisons: list[Comparison]
    outside: bool  # whether pictures outside of the run folder, of which its configuration speaks, were left out

    def ordered(self) -> list[Picture]:
        """Return all, the most telling first: plots, each photograph with its newest, then older steps."""
        newest = [p for c in self.comparisons for p in [*c.after[:1], c.before] if p is not None]
        older = zip_longest(*(comparison.after[1:] for comparison in self.comparisons))
        return [*self.plots, *newest, *(picture for turn in older for picture in turn if picture is not None)]


def find_pictures(
    folder: Path, config: dict[str, Any], environment: dict[str, Any], *, outside: bool = False
) -> Pictures:
    """Find the pictures of a run folder.

    Args:
        folder: the run folder.
        config: its configuration; `images` and `output` say where photographs and results are.
        environment: says in which folder the command was given.
        outside: look outside of the folder, too: a stranger's configuration may name any file of this machine.
    """
    run, found = RunFolder(folder), dict[str, Comparison]()
    has_results = _RESULTS.issubset(config)
    names = [] if has_results else sorted(path for path in folder.glob("*.png") if not path.name.startswith("."))
    plots = [Picture(clean(path.name), path) for path in names]
    for step, samples in run.sample_steps().items():
        for path in _images(samples):
            _of(path.relative_to(samples), found).after.append(Picture(f"step {step:,}", path))
    if has_results:
        with suppress(OSError, ValueError, RuntimeError):  # a path that is none, nobody's home
            _add_results(folder, config, Path(str(environment.get("folder") or ".")), found, outside=outside)
    for name, comparison in found.items():
        before = run.sample_photograph(name)
        if comparison.before is None and os.path.isfile(before):  # noqa: PTH113 (never raises)
            comparison.before = Picture("photograph", before)
    pictures = Pictures(plots, [_bounded(found[name]) for name in sorted(found)], has_results and not outside)
    pictures = pictures if outside else _inside(pictures, folder)
    for picture in pictures.ordered():
        file = picture.file
        name = str(file.relative_to(folder) if file.is_relative_to(folder) else file)
        picture.path = clean(name if len(name) <= 200 else f"...{name[-200:]}")
    return pictures


def _of(path: Path, comparisons: dict[str, Comparison]) -> Comparison:
    name = path.with_suffix("").as_posix()
    return comparisons.setdefault(name, Comparison(clean(name[-100:])))


def _add_results(
    folder: Path, config: dict[str, Any], base: Path, comparisons: dict[str, Comparison], *, outside: bool
) -> None:
    output = base / Path(str(config.get("output") or folder)).expanduser()
    own = str(config.get("output")) == str(config.get("folder")) or os.path.realpath(output) == os.path.realpath(folder)
    if not own and not outside:
        return
    top = folder if own else output
    photographs = dict(_photographs(config["images"], base, top)) if outside else {}
    for path in _images(top, passed_over=PASSED_OVER | {"runs"}):
        relative = path.relative_to(top)
        if own or relative.with_suffix("") in photographs:  # another folder may hold all kinds of pictures
            _of(relative, comparisons).after.insert(0, Picture("result", path))
    for name, comparison in comparisons.items():
        if Path(name) in photographs:
            comparison.before = Picture("photograph", photographs[Path(name)])


def _photographs(images: object, base: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """Name without suffix and file of each photograph that the run was given; those that are gone are left out."""
    for source in [images] if isinstance(images, str) else images if isinstance(images, list) else []:
        with suppress(OSError, ValueError, RuntimeError):  # gone, no path, nobody's home
            for path, name in find_photographs([str(base / Path(str(source)).expanduser())], output):
                yield name.with_suffix(""), path


def _bounded(comparison: Comparison) -> Comparison:
    last = len(comparison.after) - 1
    if last >= _MOST_STEPS:
        kept = sorted({round(index * last / (_MOST_STEPS - 1)) for index in range(_MOST_STEPS)})
        comparison.left_out = len(comparison.after) - len(kept)
        comparison.after = [comparison.after[index] for index in kept]
    return comparison


def _inside(found: Pictures, folder: Path) -> Pictures:
    """Leave out what a link puts into the folder."""
    strange = [picture for picture in found.ordered() if not is_inside(picture.file, folder)]
    for comparison in found.comparisons:
        comparison.after = [picture for picture in comparison.after if picture not in strange]
        comparison.before = None if comparison.before in strange else comparison.before
    plots = [picture for picture in found.plots if picture not in strange]
    return Pictures(plots, found.comparisons, found.outside or bool(strange))


def _images(top: Path, *, passed_over: frozenset[str] = frozenset()) -> list[Path]:
    """The image files of a folder and those below it; a run below it has its own, and links are not followed."""
    found: list[Path] = []
    for base, folders, names in os.walk(top):
        if Path(base) != top and RunFolder(Path(base)).is_run():
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in passed_over)
        images = (name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."))
        found += [Path(base, name) for name in images]
        if len(found) > _MOST_FILES:
            break
    return found[:_MOST_FILES]
