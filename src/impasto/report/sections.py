"""The pictures of all runs, as many as the page has room for."""

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from impasto.report.pictures import find_pictures
from impasto.report.record import Run
from impasto.report.texts import clean
from impasto.report.thumbnails import LEAST, Album, Compared, Shown
from impasto.run_folders import reason

__all__ = ["Shown", "add_pictures", "mark_first", "place_of"]

_MOST_PICTURES = 160  # of one run
_MARKUP = 700  # bytes around a picture, without names


class _Wanted(NamedTuple):
    """A picture that a run would show, and what to do with it."""

    run: Run
    label: str
    path: Path
    detailed: bool
    show: Callable[[Shown], None]


def add_pictures(
    runs: Sequence[Run], budget: int, tell: Callable[[int, int, str], None], *, outside: bool = False
) -> Album:
    """Put as many pictures into the runs as the budget allows, evenly: a few of each run before many of one.

    Args:
        runs: without pictures.
        budget: bytes, as base64.
        tell: is told how many are done, how many there will be, and a name.
        outside: those outside of the run folders, too.

    Returns:
        The album, which knows at what size they were made.
    """
    queues = [list(_wanted(run, outside)) for run in runs]
    wanted = [item for turn in zip_longest(*queues) for item in turn if item is not None]
    album = Album(budget, min(len(wanted), max(1, budget // LEAST)))
    for index, item in enumerate(wanted):
        if not album.has_room:
            item.run.left_out += 1
            continue
        tell(index, len(wanted), item.path.name)
        place = place_of(item.path, item.run.folder)
        try:
            shown = Shown(clean(item.label), place, album.add(item.path, detailed=item.detailed))
        except (OSError, ValueError) as error:
            item.run.problems.append(clean(f"{place}: {reason(error)}")[:300])
            continue
        album.spend(_MARKUP + 4 * len(html.escape(shown.path + shown.label).encode("utf-8", "replace")))
        item.show(shown)
    for run in runs:
        run.comparisons = [compared for compared in run.comparisons if compared.after]
    mark_first(shown for run in runs for shown in _in_order(run))
    return album


def mark_first(pictures: Iterable[Shown]) -> None:
    """A picture's bytes stand where it is shown first."""
    seen: set[int] = set()
    for shown in pictures:
        shown.first = shown.thumbnail.number not in seen
        seen.add(shown.thumbnail.number)


def _in_order(run: Run) -> Iterator[Shown]:
    yield from run.plots
    for compared in run.comparisons:
        yield from [compared.before, *compared.after] if compared.before else compared.after


def place_of(path: Path, folder: Path) -> str:
    """Say where a picture lies: relative to a folder where it is in there."""
    name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
    return clean(name if len(name) <= 200 else f"...{name[-200:]}")


def _wanted(run: Run, outside: bool) -> Iterator[_Wanted]:
    """A run's pictures, the most telling first: plots, each photograph with its newest, then older steps."""
    pictures = find_pictures(run.folder, run.config, run.environment, outside=outside)
    run.outside = pictures.outside
    items = [_Wanted(run, path.name, path, True, run.plots.append) for path in pictures.plots]
    older: list[list[_Wanted]] = []
    for comparison in pictures.comparisons:
        compared = Compared(comparison.name)
        run.comparisons.append(compared)
        run.left_out += comparison.left_out
        after = [_Wanted(run, label, path, False, compared.after.append) for label, path in comparison.after.items()]
        items += after[:1]
        if comparison.before is not None:
            items.append(_Wanted(run, "photograph", comparison.before, False, compared.show_before))
        older.append(after[1:])
    items += [item for turn in zip_longest(*older) for item in turn if item is not None]
    run.left_out += max(0, len(items) - _MOST_PICTURES)
    yield from items[:_MOST_PICTURES]
