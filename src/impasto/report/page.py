"""The page: one HTML file with everything inside it, which asks no host for anything."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.files import whole_file
from impasto.report.charts import columns_of, files_to_read, last_values, make_charts, points_to_read
from impasto.report.record import STATUSES, Run, names_of, read_run
from impasto.report.rendering import render_page
from impasto.report.sections import add_pictures, make_sections
from impasto.report.tables import find_differences
from impasto.report.texts import Allowance, clean, size
from impasto.run_folders import MARKS, find_runs
from impasto.tracking.bar import Bar

log = logging.getLogger(__name__)

LARGEST = 20_000_000  # bytes of the page
MOST_RUNS = 200
_PICTURES = 11_000_000  # bytes of all pictures at most; the page must still open in a second
_DIFFERENCES = 1_000_000
_LOG_EVERY_SECONDS = 10.0
_SCRIPTS = ("table.js", "scales.js", "curves.js", "compare.js")


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        path: the file.
        size: its bytes.
        statuses: how many runs have which status.
        problems: by run folder, what could not be read.
        left_out: older runs, beyond those that a page can hold.
        outside: pictures outside of the run folders, which were not asked for.
    """

    path: Path
    size: int
    statuses: dict[str, int]
    problems: dict[Path, list[str]]
    left_out: int
    outside: int

    def __str__(self) -> str:
        runs = sum(self.statuses.values())
        told = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        return f"{self.path}: {runs} run{'' if runs == 1 else 's'} ({told}), {size(self.size)}"


def write_report(sources: Sequence[str], path: Path, *, outside: bool = False) -> Report:
    """Write one HTML file about all runs in some folders.

    Args:
        sources: run folders, or folders with such below them.
        path: of the file; it is whole or as it was before.
        outside: show pictures outside of the run folders, too; only of runs that one trusts.

    Raises:
        FileNotFoundError: a source that does not exist.
        ValueError: a source without a run, or a path that is no name of a page.
        OSError: the file cannot be written.
    """
    _check_output(path)
    found = find_runs(sources)
    folders = _newest(found.runs)
    runs = _read(folders)
    closed = {clean(str(folder)): told for folder, told in found.closed.items()}
    page = _Page(runs, title=_title(sources), closed=closed, left_out=len(found.runs) - len(folders))
    page.add_pictures(outside=outside)
    data = page.html()
    assert len(data) <= LARGEST, f"{len(data)} bytes"
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
    problems = {s.run.folder: s.problems for s in page.sections if s.problems}
    problems |= {folder: [told] for folder, told in found.closed.items()}
    left_out = sum(section.outside for section in page.sections)
    return Report(path, len(data), page.statuses, problems, len(found.runs) - len(folders), left_out)


def _check_output(path: Path) -> None:
    """Refuse what cannot be written before the work, not after it."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"expected output=<file>.html, got {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected output=<file>.html")
    with whole_file(path.with_name(f".{path.name}.try")) as temporary:
        temporary.touch()
    path.with_name(f".{path.name}.try").unlink()


def _title(sources: Sequence[str]) -> str:
    names = [clean(Path(os.path.abspath(source)).name or source) for source in sources]  # noqa: PTH100
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _newest(folders: Sequence[Path]) -> list[Path]:
    """The folders that were written to last, as many as the page can hold, in their order."""
    if len(folders) <= MOST_RUNS:
        return list(folders)
    newest = sorted(folders, key=_written, reverse=True)[:MOST_RUNS]
    kept = set(newest)
    return [folder for folder in folders if folder in kept]


def _written(folder: Path) -> float:
    times = []
    for mark in MARKS:
        try:
            times.append((folder / mark).lstat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)


def _read(folders: Sequence[Path]) -> list[Run]:
    points, files, runs = points_to_read(len(folders)), files_to_read(len(folders)), []
    with Bar(total=len(folders), done=0, log_every_seconds=_LOG_EVERY_SECONDS) as bar:
        for index, (folder, name) in enumerate(zip(folders, names_of(folders), strict=True)):
            bar.update(index, f"reading {clean(name)[-40:]}")
            runs.append(read_run(folder, name, points=points, files=files))
    return runs


class _Page:
    """Everything that the template is given.

    Args:
        runs: as they were read.
        title: of the page.
        closed: folders that could not be searched, with the reason.
        left_out: older runs.
    """

    def __init__(self, runs: Sequence[Run], *, title: str, closed: dict[str, str], left_out: int) -> None:
        self.runs, self.title, self.closed, self.left_out = runs, title, closed, left_out
        counts = Counter(run.status for run in runs)
        self.statuses = {status: counts[status] for status in STATUSES if counts[status]}
        self.sections = make_sections(runs)
        self.charts = make_charts(runs)
        self.differences = find_differences(runs, Allowance(_DIFFERENCES))
        self.columns = columns_of(runs)
        self.side = 0

    def add_pictures(self, *, outside: bool) -> None:
        """Fill what the page has left with pictures."""
        room = min(_PICTURES, LARGEST - len(self.html()) - 100_000)
        bar = Bar(total=1, done=0, log_every_seconds=_LOG_EVERY_SECONDS)

        def tell(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.update(done, f"reducing {clean(name)[-40:]}")

        with bar:
            album = add_pictures(self.sections, max(0, room), tell, outside=outside)
        self.side = album.side

    def html(self) -> bytes:
        """The page as it stands."""
        return render_page(
            "report.html.j2",
            styles=("report.css",),
            scripts=_SCRIPTS,
            page=self,
            last=[last_values(run) for run in self.runs],
            curves_left_out=sum(run.curves_left_out for run in self.runs),
        )
