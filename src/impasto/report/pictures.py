"""Which pictures a run folder has: samples beside their photographs, results, plots. Nothing is decoded here."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.listing import SUFFIXES, find_photographs
from impasto.report.texts import clean
from impasto.run_folders import PASSED_OVER, RunFolder, is_inside

MOST_STEPS = 6  # of a photograph: the newest, and others evenly before it
_MOST_FILES = 2_000  # of a folder that is looked into
_RESULTS = frozenset({"images", "overwrite"})  # keys of the commands whose results are pictures


@dataclass
class Comparison:
    """A photograph and what became of it."""

    name: str
    before: Path | None = None  # its file, where it is known
    after: dict[str, Path] = field(default_factory=dict)  # files by label ("step 700", "result"), the newest first
    left_out: int = 0  # files between those


@dataclass
class Pictures:
    """Pictures of a run folder: plots in the folder itself, and samples and results by photograph."""

    plots: list[Path]
    comparisons: list[Comparison]
    outside: bool  # whether pictures outside of the run folder, of which its configuration speaks, were left out


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
    run, comparisons = RunFolder(folder), dict[str, Comparison]()
    has_results = _RESULTS.issubset(config)
    plots = [] if has_results else sorted(path for path in folder.glob("*.png") if not path.name.startswith("."))
    for step, samples in run.sample_steps().items():
        for path in _images(samples):
            _of(path.relative_to(samples), comparisons).after[f"step {step:,}"] = path
    if has_results:
        with suppress(OSError, ValueError, RuntimeError):  # a path that is none, nobody's home
            _add_results(folder, config, Path(str(environment.get("folder") or ".")), comparisons, outside=outside)
    for name, comparison in comparisons.items():
        before = run.sample_photograph(name)
        comparison.before = comparison.before or (before if os.path.isfile(before) else None)  # noqa: PTH113
    found = Pictures(plots, [_bounded(comparisons[name]) for name in sorted(comparisons)], has_results and not outside)
    return found if outside else _inside(found, folder)


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
        photograph = photographs.get(relative.with_suffix(""))
        if own or photograph:  # another folder may hold all kinds of pictures
            found = _of(relative, comparisons)
            found.after, found.before = {"result": path, **found.after}, photograph
    for name, comparison in comparisons.items():
        comparison.before = comparison.before or photographs.get(Path(name))


def _photographs(images: object, base: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """Name without suffix and file of each photograph that the run was given; those that are gone are left out."""
    for source in [images] if isinstance(images, str) else images if isinstance(images, list) else []:
        with suppress(OSError, ValueError, RuntimeError):  # gone, no path, nobody's home
            for path, name in find_photographs([str(base / Path(str(source)).expanduser())], output):
                yield name.with_suffix(""), path


def _bounded(comparison: Comparison) -> Comparison:
    labels = list(comparison.after)
    if len(labels) > MOST_STEPS:
        kept = sorted({round(index * (len(labels) - 1) / (MOST_STEPS - 1)) for index in range(MOST_STEPS)})
        comparison.left_out = len(labels) - len(kept)
        comparison.after = {labels[index]: comparison.after[labels[index]] for index in kept}
    return comparison


def _inside(found: Pictures, folder: Path) -> Pictures:
    """Leave out what a link puts into the folder."""

    def own(paths: Iterable[Path]) -> list[Path]:
        kept = [path for path in paths if is_inside(path, folder)]
        found.outside = found.outside or len(kept) < len(list(paths))
        return kept

    found.plots = own(found.plots)
    for comparison in found.comparisons:
        kept = own([*comparison.after.values()])
        comparison.after = {label: path for label, path in comparison.after.items() if path in kept}
        comparison.before = next(iter(own([comparison.before] if comparison.before else [])), None)
    return found


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
