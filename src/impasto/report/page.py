"""The page: one HTML file with everything inside it, which asks no host for anything."""

import html
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from impasto.files import whole_file
from impasto.report.charts import columns_of, last_values, make_charts
from impasto.report.differences import find_differences, unusual_facts
from impasto.report.pictures import find_pictures
from impasto.report.record import STATUSES, Run, read_run
from impasto.report.rendering import render_page
from impasto.report.texts import Allowance, clean, size
from impasto.report.thumbnails import Album
from impasto.run_folders import RunFolder, find_runs, names_of, reason
from impasto.tracking.bar import Bar

LARGEST = 20_000_000  # bytes of the page
MOST_RUNS = 200
_PICTURES = 11_000_000  # bytes of all pictures at most; the page must still open in a second
_TEXTS = 3_000_000  # bytes of all runs' texts
_MOST_CURVES = 300  # photographs with their own curves
_MOST_PICTURES = 160  # of one run
_MARKUP = 700  # bytes around a picture, without names
_SCRIPTS = ("table.js", "scales.js", "curves.js", "compare.js")


@dataclass(frozen=True)
class Report:
    """What was written."""

    path: Path
    size: int  # bytes
    statuses: dict[str, int]  # how many runs have which
    problems: dict[Path, list[str]]  # by run folder, what could not be read
    left_out: int  # older runs, beyond those that a page can hold
    outside: int  # runs with pictures outside of their folders, which were not asked for

    def __str__(self) -> str:
        runs = sum(self.statuses.values())
        counts = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        return f"{self.path}: {runs} run{'' if runs == 1 else 's'} ({counts}), {size(self.size)}"


def write_report(sources: Sequence[str], path: Path, *, outside: bool = False) -> Report:
    """Write one HTML file about all runs in some folders.

    Args:
        sources: run folders, or folders with such below them.
        path: of the file; it is whole or as it was before.
        outside: show pictures outside of the run folders, too; only of runs that one trusts.

    Raises:
        ValueError: a source without a run, or a path that is no name of a page.
        OSError: a source that does not exist, or a file that cannot be written.
    """
    _check_output(path)
    found = find_runs(sources)
    folders = _newest(found.runs)
    left_out = len(found.runs) - len(folders)
    runs = _read(folders)
    counts = Counter(run.status for run in runs)
    statuses = {status: counts[status] for status in STATUSES if counts[status]}
    values = {
        "title": _title(sources),
        "runs": runs,
        "statuses": statuses,
        "closed": {clean(str(folder)): why for folder, why in found.closed.items()},
        "left_out": left_out,
        "charts": make_charts(runs),
        "differences": find_differences(runs, Allowance(_TEXTS // 3)),
        "unusual": unusual_facts(runs),
        "columns": columns_of(runs),
        "last": [last_values(run) for run in runs],
        "curves_left_out": sum(run.curves_left_out for run in runs),
    }
    data = _filled(values, runs, outside=outside)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
    problems = {run.folder: run.problems for run in runs if run.problems}
    problems |= {folder: [why] for folder, why in found.closed.items()}
    return Report(path, len(data), statuses, problems, left_out, sum(run.outside for run in runs))


def _check_output(path: Path) -> None:
    """Refuse what cannot be written before the work, not after it."""
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir():
        raise ValueError(f"expected output=<file>.html, got {path}{', a folder' if path.is_dir() else ''}")
    trial = path.with_name(f".{path.name}.try")
    with whole_file(trial) as temporary:
        temporary.touch()
    trial.unlink()


def _title(sources: Sequence[str]) -> str:
    names = [clean(Path(os.path.abspath(source)).name or source) for source in sources]  # noqa: PTH100
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _newest(folders: Sequence[Path]) -> list[Path]:
    """The folders that were written to last, as many as the page can hold, in their order."""
    newest = set(sorted(folders, key=lambda folder: RunFolder(folder).written(), reverse=True)[:MOST_RUNS])
    return [folder for folder in folders if folder in newest]


def _read(folders: Sequence[Path]) -> list[Run]:
    count = max(1, len(folders))
    limits = {"texts": min(300_000, _TEXTS // count), "photographs": min(12, _MOST_CURVES // count)}
    runs = []
    with Bar(total=len(folders), done=0, log_every_seconds=10.0) as bar:
        for index, (folder, name) in enumerate(zip(folders, names_of(folders), strict=True)):
            bar.update(index, f"reading {clean(name)[-40:]}")
            runs.append(read_run(folder, name, **limits))
    return runs


def _filled(values: dict[str, object], runs: Sequence[Run], *, outside: bool) -> bytes:
    """Return the page, with pictures in what the texts leave of it."""

    def render(side: int) -> bytes:
        return render_page("report.html.j2", styles=("report.css",), scripts=_SCRIPTS, side=side, **values)

    room = min(_PICTURES, LARGEST - len(render(0)) - 100_000)
    return render(add_pictures(runs, max(0, room), outside=outside))


def add_pictures(runs: Sequence[Run], budget: int, *, outside: bool = False) -> int:
    """Put as many pictures into the runs as a number of bytes allows; return the longer side that they were given.

    They are spread evenly: a few of each run come before many of one. `outside` takes those outside of the run folders.
    """
    queues = []
    for run in runs:
        found = find_pictures(run.folder, run.config, run.environment, outside=outside)
        run.plots, run.comparisons, run.outside = found
        queue = [(run, picture) for picture in found.ordered()]
        run.left_out = sum(c.left_out for c in run.comparisons) + max(0, len(queue) - _MOST_PICTURES)
        queues.append(queue[:_MOST_PICTURES])
    wanted = [item for turn in zip_longest(*queues) for item in turn if item is not None]
    album = Album(budget, len(wanted))
    with Bar(total=len(wanted), done=0, log_every_seconds=10.0) as bar:
        for index, (run, picture) in enumerate(wanted):
            bar.update(index, f"reducing {clean(picture.file.name)[-40:]}")
            if not album.has_room:
                run.left_out += 1
                continue
            try:
                picture.thumbnail = album.add(picture.file, detailed=picture in run.plots)
                album.left -= _MARKUP + 4 * len(html.escape(picture.path + picture.label).encode("utf-8", "replace"))
            except (OSError, ValueError) as error:
                run.problems.append(clean(f"{picture.path}: {reason(error)}")[:300])
    for run in runs:
        run.plots = [picture for picture in run.plots if picture.thumbnail]
        for comparison in run.comparisons:
            comparison.after = [picture for picture in comparison.after if picture.thumbnail]
            if comparison.before and not comparison.before.thumbnail:
                comparison.before = None
        run.comparisons = [comparison for comparison in run.comparisons if comparison.after]
    return album.side
