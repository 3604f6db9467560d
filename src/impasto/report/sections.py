"""What the page says about each run: its texts within their allowance, and its pictures within theirs."""

import html
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from impasto.report.pictures import find_pictures
from impasto.report.record import Run
from impasto.report.tables import Block, mark_unusual, read_markdown
from impasto.report.texts import Allowance, clean, flatten, number
from impasto.report.thumbnails import LEAST, Album, Thumbnail
from impasto.run_folders import read_text, reason

_TEXTS = 3_500_000  # bytes of all runs' texts
_MOST_TEXTS = 300_000  # of one run's
_MOST_CELLS = 50_000  # of all tables
_MOST_RESULTS = 8  # texts of one run
_MOST_PROBLEMS = 20
_MOST_FACTS = 40  # of an environment
_MOST_PICTURES = 160  # of one run
_MARKUP = 700  # bytes around a picture, without names
_LONGEST_PATH = 200
_NOT_COMPARED = ("command", "folder")  # of an environment: other for every run


class Result(NamedTuple):
    """A Markdown file of a run, such as its benchmark."""

    name: str
    blocks: list[Block]
    lines_left_out: int


class Fact(NamedTuple):
    """A line about the environment."""

    name: str
    value: str
    unusual: bool


@dataclass
class Shown:
    """A picture in the page.

    Attributes:
        label: "photograph", "step 700", "result", or the file's name.
        path: of the file, relative to the run folder where it lies in there.
        thumbnail: the picture.
        first: whether the page has not shown it before.
    """

    label: str
    path: str
    thumbnail: Thumbnail
    first: bool = False


@dataclass
class Compared:
    """A photograph beside what became of it, the newest first."""

    name: str
    before: Shown | None = None
    after: list[Shown] = field(default_factory=list)

    def show_before(self, shown: Shown) -> None:
        """Put the photograph in its place."""
        self.before = shown


@dataclass
class Section:
    """What the page says about a run.

    Attributes:
        run: the run.
        problems: what is wrong with its files.
        left_out: pictures that it has and the page has not.
        outside: pictures outside of its folder, which the page has not.
    """

    run: Run
    error: str = ""
    traceback: str = ""
    config: str = ""
    results: list[Result] = field(default_factory=list)
    environment: list[Fact] = field(default_factory=list)
    summaries: list[list[str]] = field(default_factory=list)
    plots: list[Shown] = field(default_factory=list)
    comparisons: list[Compared] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: int = 0
    outside: int = 0


def make_sections(runs: Sequence[Run]) -> list[Section]:
    """Say everything about the runs but their pictures."""
    each = max(1, len(runs))
    environments = [flatten({k: v for k, v in run.environment.items() if k not in _NOT_COMPARED}) for run in runs]
    sections = []
    for run, environment, marks in zip(runs, environments, mark_unusual(environments), strict=True):
        allowance = Allowance(min(_MOST_TEXTS, _TEXTS // each))
        section = Section(run, error=allowance.cut(run.error, 2_000, where="status.json"))
        section.problems = [allowance.cut(problem, 600, where="") for problem in run.problems[:_MOST_PROBLEMS]]
        section.traceback = allowance.cut(run.traceback, 20_000, where=str(run.folder / "status.json"))
        section.environment = [
            Fact(allowance.cut(clean(k), 200, where=""), allowance.cut(clean(v), 500, where=""), marks[k])
            for k, v in list(environment.items())[:_MOST_FACTS]
        ]
        _add_results(section, allowance, max(150, min(4_000, _MOST_CELLS // each)))
        _add_summaries(section, allowance, max(15, min(200, 4_000 // each)))
        section.config = allowance.cut(run.config_text, 100_000, where=clean(str(run.folder / "config.yaml")))
        sections.append(section)
    return sections


def _add_results(section: Section, allowance: Allowance, cells: int) -> None:
    try:
        names = sorted(name for name in os.listdir(section.run.folder) if name.lower().endswith(".md"))  # noqa: PTH208
    except OSError:
        return
    for name in names[:_MOST_RESULTS]:
        try:
            text = clean(read_text(section.run.folder, name))
        except (OSError, ValueError) as error:
            section.problems.append(clean(f"{name}: {reason(error)}")[:300])
            continue
        blocks, left_out = read_markdown(allowance.cut(text, 100_000, where=name), cells=cells)
        cells -= sum(len(row) for block in blocks for row in block.rows)
        section.results.append(Result(clean(name)[:100], blocks, left_out))


def _add_summaries(section: Section, allowance: Allowance, most: int) -> None:
    for photograph, metrics in section.run.metrics.items():
        for name, summary in metrics.summaries.items():
            if len(section.summaries) == most:
                return
            told = f"{photograph}: {name}" if photograph else name
            values = [number(value) for value in (summary.last, summary.least, summary.greatest)]
            section.summaries.append([allowance.cut(told, 300, where="metrics.csv"), f"{summary.logged:,}", *values])


def mark_first(pictures: Iterable[Shown]) -> None:
    """A picture's bytes stand where it is shown first."""
    seen: set[int] = set()
    for shown in pictures:
        shown.first = shown.thumbnail.number not in seen
        seen.add(shown.thumbnail.number)


def _in_order(sections: Sequence[Section]) -> Iterator[Shown]:
    for section in sections:
        yield from section.plots
        for compared in section.comparisons:
            yield from [compared.before, *compared.after] if compared.before else compared.after


class _Wanted(NamedTuple):
    """A picture that a run would show, and what to do with it."""

    section: Section
    label: str
    path: Path
    detailed: bool
    show: Callable[[Shown], None]


def add_pictures(
    sections: Sequence[Section], budget: int, tell: Callable[[int, int, str], None], *, outside: bool = False
) -> Album:
    """Put as many pictures into the sections as the budget allows, evenly: a few of each run before many of one.

    Args:
        sections: without pictures.
        budget: bytes, as base64.
        tell: is told how many are done, how many there will be, and a name.
        outside: those outside of the run folders, too.

    Returns:
        The album, which knows at what size they were made.
    """
    queues = [list(_wanted(section, outside)) for section in sections]
    wanted = [item for turn in zip_longest(*queues) for item in turn if item is not None]
    kinds = [_kind(item) for item in wanted]
    kept = set(list(dict.fromkeys(kinds))[: budget // LEAST])
    album = Album(budget, len(kept))
    for index, (item, kind) in enumerate(zip(wanted, kinds, strict=True)):
        if kind not in kept or not album.has_room:
            item.section.left_out += 1
            continue
        tell(index, len(wanted), item.path.name)
        place = place_of(item.path, item.section.run.folder)
        try:
            shown = Shown(clean(item.label), place, album.add(item.path, detailed=item.detailed))
        except (OSError, ValueError) as error:
            problem = f"{place}: {clean(reason(error))}"[:300]
            album.spend(_bytes(problem))
            item.section.problems.append(problem)
            continue
        album.spend(_MARKUP + 4 * _bytes(shown.path + shown.label))  # in alt, data-path, data-label and the caption
        item.show(shown)
    for section in sections:
        section.comparisons = [c for c in section.comparisons if c.after]
    mark_first(_in_order(sections))
    return album


def _kind(item: _Wanted) -> tuple[str, int]:
    """Tells pictures apart without reading them: a sweep has the same photographs in each of its runs."""
    try:
        return item.path.name, item.path.stat().st_size
    except OSError:
        return item.path.name, -1


def _bytes(text: str) -> int:
    return len(html.escape(text).encode("utf-8", "replace"))


def place_of(path: Path, folder: Path) -> str:
    """Say where a picture lies: relative to a folder where it is in there."""
    told = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
    return clean(told if len(told) <= _LONGEST_PATH else f"...{told[-_LONGEST_PATH:]}")


def _wanted(section: Section, outside: bool) -> Iterator[_Wanted]:
    """A run's pictures, the most telling first: plots, each photograph with its newest, then older steps."""
    run = section.run
    try:
        pictures = find_pictures(run.folder, run.config, run.environment, outside=outside)
    except (OSError, ValueError) as error:
        section.problems.append(clean(f"pictures: {reason(error)}"))
        return
    section.problems += pictures.problems[:_MOST_PROBLEMS]
    section.outside = pictures.outside
    items = [_Wanted(section, path.name, path, True, section.plots.append) for path in pictures.plots]
    older: list[list[_Wanted]] = []
    for comparison in pictures.comparisons:
        compared = Compared(comparison.name)
        section.comparisons.append(compared)
        section.left_out += comparison.left_out
        after = [_Wanted(section, told, path, False, compared.after.append) for told, path in comparison.after.items()]
        items += after[:1]
        if comparison.before is not None:
            items.append(_Wanted(section, "photograph", comparison.before, False, compared.show_before))
        older.append(after[1:])
    items += [item for turn in zip_longest(*older) for item in turn if item is not None]
    section.left_out += max(0, len(items) - _MOST_PICTURES)
    yield from items[:_MOST_PICTURES]
