"""What the page says about each trial: its texts within their allowance, and its pictures within theirs."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from impasto.report.pictures import find_pictures
from impasto.report.sections import Shown, mark_first, place_of
from impasto.report.sweep_shown import SweepShown, TrialShown, finite, ranked, short_names
from impasto.report.texts import Allowance, clean, number
from impasto.report.thumbnails import LEAST, Album
from impasto.run_folders import reason

MOST_TRIALS = 600
_MOST_COLUMNS = 30  # parameters in the page
_MOST_OBJECTIVES = 8
_MOST_PHOTOGRAPHS = 12
_TEXTS = 1_500_000  # bytes of all trials' texts; one stands in the page up to three times
_MARKUP = 900  # bytes around a picture, without names


class Figure(NamedTuple):
    """A parameter or a value of a trial: its name in short, in full, what it is, and what it is sorted by."""

    name: str
    full: str
    text: str
    sort: str


class Place(NamedTuple):
    """A file of a picture: what it shows, where it is, and the folder that its place is told from."""

    label: str
    path: Path
    folder: Path


@dataclass
class Row:
    """A trial in the page.

    Attributes:
        trial: itself.
        values: by objective, in their order.
        parameters: in their order.
        error: shortened.
        pictures: by photograph.
        note: why it has no pictures.
    """

    trial: TrialShown
    values: list[Figure]
    parameters: list[Figure]
    error: str
    pictures: dict[str, Shown] = field(default_factory=dict)
    note: str = ""


@dataclass
class Gallery:
    """The pictures of all trials.

    Attributes:
        names: of the photographs.
        originals: the photographs themselves, where there are files of them.
        side: to which the pictures were reduced, in pixels; 0 without any.
        left_out: pictures that the page has no room for.
        problems: pictures that could not be read, with the reason.
    """

    names: list[str] = field(default_factory=list)
    originals: dict[str, Shown] = field(default_factory=dict)
    side: int = 0
    left_out: int = 0
    problems: list[str] = field(default_factory=list)


def make_rows(sweep: SweepShown) -> list[Row]:
    """Say everything about the trials but their pictures, best first; of very many trials the best and the newest."""
    trials = ranked(sweep)
    if len(trials) > MOST_TRIALS:
        newest = sorted(trials[MOST_TRIALS // 2 :], key=lambda trial: -trial.number)[: MOST_TRIALS - MOST_TRIALS // 2]
        kept = {trial.number for trial in [*trials[: MOST_TRIALS // 2], *newest]}
        trials = [trial for trial in trials if trial.number in kept]
    names = list(dict.fromkeys(name for trial in trials for name in trial.parameters))[:_MOST_COLUMNS]
    objectives = list(sweep.objectives)[:_MOST_OBJECTIVES]
    short = short_names([*names, *objectives])  # a weight named as an objective is told apart
    return [_row(trial, short, objectives, Allowance(_TEXTS // len(trials))) for trial in trials]


def _row(trial: TrialShown, short: dict[str, str], objectives: Sequence[str], allowance: Allowance) -> Row:
    values = trial.values or {}
    error = _cut(allowance, trial.error, 400)
    return Row(
        trial,
        [_figure(name, name, values.get(name), allowance) for name in objectives],
        [_figure(told, name, trial.parameters.get(name), allowance) for name, told in short.items()],
        error,
    )


def _figure(short: str, name: str, value: object, allowance: Allowance) -> Figure:
    if value is None:
        text, sort = "-", ""
    elif isinstance(value, float):
        text, sort = number(value), str(value).replace("inf", "Infinity")
    else:
        text = _cut(allowance, clean(value), 200)
        sort = text if finite(value) is None else str(value)
    return Figure(_cut(allowance, clean(short), 100), _cut(allowance, clean(name), 200), text, sort)


def _cut(allowance: Allowance, text: str, most: int) -> str:
    """Shorten a text to what is left; one letter too many is less than the words that would say so."""
    text = clean(text)
    kept = allowance.cut(text, most, where="")
    return text if kept == text else kept.rpartition("\n... (")[0] + "\u2026"


def add_pictures(rows: Sequence[Row], budget: int) -> Gallery:
    """Put the last picture of each photograph into as many rows as the budget allows, from the first row on.

    Args:
        rows: without pictures, the best first.
        budget: bytes, as base64.
    """
    found = [last_pictures(row) for row in rows]
    names = sorted({name for after, _ in found for name in after})
    gallery = Gallery(names[:_MOST_PHOTOGRAPHS])
    befores: dict[str, Place] = {}
    for _, before in found:
        befores = before | befores
    wanted = [(row, name, after[name]) for row, (after, _) in zip(rows, found, strict=True) for name in after]
    wanted = [item for item in wanted if item[1] in gallery.names]
    album = Album(budget, min(len(wanted) + len(gallery.names), max(1, budget // LEAST)))
    for name in gallery.names:
        if name in befores:
            _show(gallery.originals, name, album, befores[name], gallery)
    for row, name, place in wanted:
        _show(row.pictures, name, album, place, gallery)
    gallery.side = album.side if wanted else 0
    for row, (after, _) in zip(rows, found, strict=True):
        row.note = "" if row.pictures else _why_none(row, any_found=bool(after))
    mark_first(_in_order(gallery, rows))
    return gallery


def last_pictures(row: Row) -> tuple[dict[str, Place], dict[str, Place]]:
    """By photograph, the newest sample of a trial, and the photograph itself."""
    try:
        comparisons = find_pictures(row.trial.folder, {}, {}).comparisons
    except (OSError, ValueError):  # the name of the folder is none
        return {}, {}
    above = row.trial.folder.parent
    after = {c.name: Place(*next(iter(c.after.items())), above) for c in comparisons if c.after}
    return after, {c.name: Place("photograph", c.before, above) for c in comparisons if c.before is not None}


def _show(shelf: dict[str, Shown], name: str, album: Album, place: Place, gallery: Gallery) -> None:
    if not album.has_room:
        gallery.left_out += 1
        return
    told = place_of(place.path, place.folder)
    try:
        shown = Shown(place.label, told, album.add(place.path, detailed=False))
    except (OSError, ValueError) as error:
        if len(gallery.problems) < 20:
            gallery.problems.append(clean(f"{told}: {reason(error)}")[:300])
        return
    album.spend(_MARKUP + 6 * len(html.escape(told + name).encode("utf-8", "replace")))
    shelf[name] = shown


def _why_none(row: Row, *, any_found: bool) -> str:
    if any_found:
        return "Its pictures are left out, to keep this file small, or could not be read; they are in its folder."
    if row.trial.state == "waiting":
        return "It has not begun."
    return "No pictures." if row.trial.state in ("finished", "pruned") else ""


def _in_order(gallery: Gallery, rows: Sequence[Row]) -> Iterator[Shown]:
    """As they stand in the page."""
    yield from (gallery.originals[name] for name in gallery.names if name in gallery.originals)
    for row in rows:
        yield from (row.pictures[name] for name in gallery.names if name in row.pictures)
