"""The report: one HTML file with everything inside it, which asks no host for anything."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from impasto.files import whole_file
from impasto.report.charts import columns_of, find_differences, last_values, make_charts
from impasto.report.pictures import Thumbnail, add_thumbnail, find_pictures
from impasto.report.record import STATUSES, Run, read_run
from impasto.report.rendering import clean, render_page
from impasto.run_folders import find_runs, names_of
from impasto.tracking.bar import Bar

_PICTURES = 11_000_000  # bytes of all pictures; the page must still open in a second
_SIDES = ((100, 720), (250, 480), (10**9, 320))  # longer side in pixels, by the number of pictures
_SCRIPTS = ("table.js", "scales.js", "curves.js", "compare.js")


@dataclass(frozen=True)
class Report:
    """What was written."""

    path: Path
    size: int  # bytes
    statuses: dict[str, int]  # how many runs have which
    problems: dict[Path, list[str]]  # by run folder, what could not be read

    def __str__(self) -> str:
        runs = sum(self.statuses.values())
        counts = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        return f"{self.path}: {runs} run{'' if runs == 1 else 's'} ({counts}), {self.size / 1e6:.1f} MB"


def write_report(sources: Sequence[str], path: Path) -> Report:
    """Write one HTML file about all runs in some folders.

    Args:
        sources: run folders, or folders with such below them.
        path: of the file; it is whole or as it was before.

    Raises:
        ValueError: a source without a run, or a path that is no name of a page.
        OSError: a source that does not exist, or a file that cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir():
        raise ValueError(f"expected output=<file>.html, got {path}{', a folder' if path.is_dir() else ''}")
    folders = find_runs(sources)
    runs = [read_run(folder, name) for folder, name in zip(folders, names_of(folders), strict=True)]
    counts = Counter(run.status for run in runs)
    statuses = {status: counts[status] for status in STATUSES if counts[status]}
    data = render_page(
        "report.html.j2",
        styles=("report.css",),
        scripts=_SCRIPTS,
        side=add_pictures(runs),
        title=", ".join(clean(Path(os.path.abspath(source)).name or source) for source in sources),  # noqa: PTH100
        runs=runs,
        statuses=statuses,
        charts=make_charts(runs),
        differences=find_differences(runs),
        columns=columns_of(runs),
        last=[last_values(run) for run in runs],
    )
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
    problems = {run.folder: run.problems for run in runs if run.problems}
    return Report(path, len(data), statuses, problems)


def add_pictures(runs: Sequence[Run], budget: int = _PICTURES) -> int:
    """Put as many pictures into the runs as a number of bytes allows; return the longer side that they were given.

    They are spread evenly: a few of each run come before many of one.
    """
    queues = []
    for run in runs:
        run.plots, run.comparisons = find_pictures(run.folder, run.config)
        shown = [picture for c in run.comparisons for picture in (*c.after[:1], c.before, *c.after[1:]) if picture]
        queues.append([(run, picture) for picture in (*run.plots, *shown)])
    wanted = [item for turn in zip_longest(*queues) for item in turn if item]
    side, made = next(side for most, side in _SIDES if len(wanted) <= most), dict[bytes, Thumbnail]()
    with Bar(total=len(wanted), log_every_seconds=10.0) as bar:
        for index, (run, picture) in enumerate(wanted):
            bar.update(index, f"reducing {clean(picture.file.name)[-40:]}")
            if sum(len(thumbnail.uri) for thumbnail in made.values()) > budget:
                run.left_out += 1
                continue
            box = (2 * side, 6 * side) if picture in run.plots else (side, side)  # plots have writing in them
            with run.noting(picture.path):
                add_thumbnail(picture, run.folder, box, made)
    for run in runs:
        run.plots = [picture for picture in run.plots if picture.thumbnail]
        for comparison in run.comparisons:
            comparison.after = [picture for picture in comparison.after if picture.thumbnail]
            if comparison.before and not comparison.before.thumbnail:
                comparison.before = None
        run.comparisons = [comparison for comparison in run.comparisons if comparison.after]
    return side
