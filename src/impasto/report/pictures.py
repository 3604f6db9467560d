"""Which pictures a run folder has: samples beside their photographs, results, plots. Nothing is decoded here."""

import os
import re
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from impasto.listing import SUFFIXES, TAKEN, before_pattern
from impasto.report.texts import clean, plain
from impasto.run_folders import MARKS, is_inside, reason

MOST_STEPS = 6  # of a photograph: the newest, and others evenly before it
_MOST_FILES = 2_000  # of a folder that is looked into
_LONGEST_NAME = 100
_MOST_FOLDERS = 300  # that are looked into for one run
_RESULTS = frozenset({"images", "overwrite"})  # keys of the commands whose results are pictures
_NO_RESULTS = frozenset({"samples", "checkpoints", "curves", "wandb", "runs"})


@dataclass
class Comparison:
    """A photograph and what became of it.

    Attributes:
        name: of the photograph.
        before: its file, where it is known.
        after: files by label ("step 700", "result"), the newest first.
        left_out: files between those.
    """

    name: str
    before: Path | None = None
    after: dict[str, Path] = field(default_factory=dict)
    left_out: int = 0


@dataclass
class Pictures:
    """Pictures of a run folder.

    Attributes:
        plots: in the folder itself.
        comparisons: by photograph.
        problems: folders that could not be looked into, with the reason.
        outside: pictures that lie outside of the run folder and were left out.
    """

    plots: list[Path] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    outside: int = 0


def find_pictures(
    folder: Path, config: dict[str, Any], environment: dict[str, Any], *, outside: bool = False
) -> Pictures:
    """Find the pictures of a run folder.

    Args:
        folder: the run folder.
        config: its configuration; `images` and `output` say where photographs and results are.
        environment: says in which folder the command was given.
        outside: take those outside of the folder, too: a stranger's configuration may name any file of this machine.
    """
    found = _find(folder, config, environment)
    return found if outside else _inside(found, folder)


def _inside(found: Pictures, folder: Path) -> Pictures:
    every = [*found.plots, *(path for c in found.comparisons for path in (c.before, *c.after.values()) if path)]
    strangers = {path for path in every if not is_inside(path, folder)}
    for comparison in found.comparisons:
        comparison.after = {told: path for told, path in comparison.after.items() if path not in strangers}
        comparison.before = None if comparison.before in strangers else comparison.before
    return replace(found, plots=[path for path in found.plots if path not in strangers], outside=len(strangers))


def _find(folder: Path, config: dict[str, Any], environment: dict[str, Any]) -> Pictures:
    comparisons: dict[str, Comparison] = {}
    problems: list[str] = []
    steps = [entry for entry in _listing(folder / "samples", problems) if re.fullmatch(r"step_\d{1,15}", entry.name)]
    for step in sorted(steps, key=lambda entry: int(entry.name[5:]), reverse=True):
        for path in _images(step, problems):
            name = path.relative_to(step).with_suffix("").as_posix()
            found = comparisons.setdefault(name, Comparison(clean(name[-_LONGEST_NAME:])))
            found.after[f"step {int(step.name[5:]):,}"] = path
    if not _RESULTS.issubset(config):
        plots = [path for path in _listing(folder, problems) if path.suffix.lower() == ".png"]
        _find_photographs(comparisons, folder / "samples" / "photographs", problems)
        return Pictures(plots, _bounded(comparisons), problems)
    sources = _Sources(config["images"], environment)
    output = str(config.get("output") or folder)
    elsewhere = sources.base / _path(output)
    own = os.path.realpath(elsewhere) == os.path.realpath(folder) or output == str(config.get("folder"))
    for path in _images(folder if own else elsewhere, problems, passed_over=_NO_RESULTS):
        relative = path.relative_to(folder if own else elsewhere)
        name = relative.with_suffix("").as_posix()
        before = sources.find(relative)
        if own or before is not None:  # another folder may hold all kinds of pictures
            found = comparisons.setdefault(name, Comparison(clean(name[-_LONGEST_NAME:])))
            found.after = {"result": path, **found.after}
            found.before = before
    for name, comparison in comparisons.items():
        comparison.before = comparison.before or sources.find(Path(f"{name}.png"))
    return Pictures([], _bounded(comparisons), problems)


def _find_photographs(comparisons: dict[str, Comparison], photographs: Path, problems: list[str]) -> None:
    for path in _images(photographs, problems):
        name = path.relative_to(photographs).with_suffix("").as_posix()
        if name in comparisons:
            comparisons[name].before = path


def _bounded(comparisons: dict[str, Comparison]) -> list[Comparison]:
    for comparison in comparisons.values():
        labels = list(comparison.after)
        if len(labels) > MOST_STEPS:
            kept = {round(index * (len(labels) - 1) / (MOST_STEPS - 1)) for index in range(MOST_STEPS)}
            comparison.left_out = len(labels) - len(kept)
            comparison.after = {labels[index]: comparison.after[labels[index]] for index in sorted(kept)}
    return [comparisons[name] for name in sorted(comparisons)]


class _Sources:
    """The photographs that a run was given: files, folders or patterns. Nothing is searched; names are tried.

    Args:
        images: as in the configuration.
        environment: of the run.
    """

    def __init__(self, images: object, environment: dict[str, Any]) -> None:
        self.base = _path(plain(environment.get("folder") or "."))
        names = [images] if isinstance(images, str) else images if isinstance(images, list) else []
        self.paths = [self.base / _path(str(name)) for name in names[:_MOST_FILES]]
        self.by_stem = {path.stem: path for path in reversed(self.paths)}

    def find(self, name: Path) -> Path | None:
        """The photograph of a result; None where it is gone.

        Args:
            name: of the result, relative to its folder.
        """
        tried = [self.by_stem[name.stem]] if name.stem in self.by_stem else []
        for path in self.paths[:20]:
            fixed = Path(*islice(before_pattern(path), 50))
            tried += [(fixed / name).with_suffix(suffix) for suffix in (name.suffix, *TAKEN)]
        return next((path for path in tried if os.path.isfile(path)), None)  # noqa: PTH113 (never raises)


def _path(text: str) -> Path:
    """Any text of a configuration as a path that can be asked for."""
    return Path(os.path.expanduser(text.replace("\0", "")))  # noqa: PTH111 (Path.expanduser raises for strangers)


def _listing(folder: Path, problems: list[str]) -> list[Path]:
    """What is in a folder, sorted, a bounded part of it; nothing where it is not there or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _MOST_FILES) if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(clean(f"{folder.name}: {reason(error)}"))
        return []
    return [folder / name for name in sorted(names)]


def _images(folder: Path, problems: list[str], *, passed_over: frozenset[str] = frozenset()) -> list[Path]:
    """The image files of a folder and those below it; a run below it has its own, and links are not followed."""
    found: list[Path] = []
    waiting = [folder]
    for _ in range(_MOST_FOLDERS):
        if not waiting or len(found) > _MOST_FILES:
            break
        inside = waiting.pop()
        listing = _listing(inside, problems)
        if inside != folder and any(path.name in MARKS for path in listing):
            continue
        found += [path for path in listing if path.suffix.lower() in SUFFIXES]
        below = [path for path in listing if path.suffix.lower() not in SUFFIXES and path.name not in passed_over]
        waiting += [path for path in reversed(below) if path.is_dir() and not path.is_symlink()]
    return found[:_MOST_FILES]
