"""Run folders as the report shows them, and what it compares; nothing in them can stop the report."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from impasto.report.rendering import clean, flatten, markdown
from impasto.run_folders import Curve, RunFolder, moment, reason

STATUSES = ("finished", "running", "pruned", "interrupted", "failed", "died", "unreadable")
_POINTS = 400  # of a curve at most
_MOST_POINTS = 200_000  # of all curves together: some 3 MB
_GROUPS = ("train", "val", "test", "")  # of metrics called "train/loss"; in this order, others behind
_LONGEST = 50_000  # characters of a configuration, a table or a traceback
_MOST_PHOTOGRAPHS = 12  # of a run, of which curves are read
_ITS_OWN = ("folder", "run_id", "resume")  # keys of the configuration that differ between any two runs


@dataclass
class Picture:
    """A picture of a run, and what the page shows of it."""

    label: str  # "photograph", "step 700", "result", or the file's name
    file: Path
    path: str  # of the file, as it is shown
    uri: str = ""  # data:image/webp;base64,... once it has been made small
    number: int = 0  # a picture that is shown again has the number of the first
    width: int = 0  # of the reduced picture, in pixels
    height: int = 0
    full: str = ""  # size of the file's picture: "1024 x 768"


@dataclass
class Comparison:
    """A photograph and what became of it, the newest first."""

    name: str
    before: Picture | None = None
    after: list[Picture] = field(default_factory=list)


@dataclass
class Run:
    """A run folder, as it is shown."""

    folder: Path
    name: str  # told apart from those of the other runs
    status: str = "unreadable"  # one of STATUSES
    command: str = ""  # of impasto, such as "train"; "" where it is not known
    experiment: str = ""  # its name in the configuration
    words: list[str] = field(default_factory=list)  # behind the command, as the user gave them
    started: datetime | None = None
    seconds: float | None = None  # how long it took, or has been taking
    error: str = ""
    traceback: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    settings: dict[str, str] = field(default_factory=dict)  # configuration, without what differs in any two runs
    environment: dict[str, str] = field(default_factory=dict)  # without what differs in any two runs
    results: dict[str, Markup] = field(default_factory=dict)  # Markdown files by name
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)  # by photograph ("": the run's own) and metric
    problems: list[str] = field(default_factory=list)  # what is wrong with which file
    plots: list[Picture] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)  # photographs beside what became of them
    left_out: int = 0  # pictures that it has and the page has not

    @property
    def how_to_go_on(self) -> str:
        """The command that goes on with a run that was stopped; "" where there is none."""
        if self.command == "sweep" and self.status in ("interrupted", "died", "failed"):  # the same command again
            return shlex.join(["impasto", "sweep", *self.words])
        if self.status not in ("interrupted", "died") or "resume" not in self.config or not self.command:
            return ""
        return f"impasto {self.command} resume={shlex.quote(clean(str(self.folder.absolute())))}"

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Take what goes wrong with a file as a problem."""
        try:
            yield
        except (OSError, ValueError, RecursionError) as error:
            self.problems.append(clean(f"{name}: {reason(error)}"))


def read_run(folder: Path, name: str) -> Run:
    """Read all of a run folder but its pictures, under the name to show; what cannot be read is a problem of it."""
    run, files = Run(folder, clean(name)), RunFolder(folder)
    with run.noting("status.json"):
        _read_status(run, files)
    with run.noting("config.yaml"):
        run.config = files.read_config()
        run.config_text = clean(files.read_text("config.yaml"), _LONGEST)
        run.experiment = clean(run.config.get("name") or "", 100)
        where = str(run.config.get("folder") or folder)
        flat = flatten({key: value for key, value in run.config.items() if key not in _ITS_OWN})
        run.settings = {key: value.replace(where, "<run folder>") for key, value in flat.items()}
    with run.noting("environment.json"):
        _read_environment(run, files)
    for photograph in files.photographs_with_curves()[:_MOST_PHOTOGRAPHS]:
        with run.noting("curves"):
            curves = files.read_metrics(photograph).items()
            run.curves[clean(photograph)] = {clean(metric): thin(curve, _POINTS) for metric, curve in curves}
    for path in sorted(folder.glob("*.md")):
        with run.noting(path.name):
            run.results[clean(path.name)] = markdown(clean(files.read_text(path.name), _LONGEST))
    return run


def _read_status(run: Run, files: RunFolder) -> None:
    record = files.read_status()
    run.status, run.started, seconds = record["status"], moment(record.get("started")), record.get("seconds")
    run.error = clean(record.get("error") or "")
    run.traceback = clean(record.get("traceback") or "", _LONGEST)
    run.seconds = float(seconds) if isinstance(seconds, int | float) else None
    if files.has_died():
        run.status = "died"
    elif run.status == "running" and run.started:
        run.seconds = (datetime.now().astimezone() - run.started).total_seconds()


def _read_environment(run: Run, files: RunFolder) -> None:
    record = files.read_environment()
    words = record.pop("command", None)
    given = [clean(word) for word in words[1:]] if isinstance(words, list) else []
    if given[:1] == ["--config-name"] and len(given) > 1:
        run.command, given = given[1].replace("_", " "), given[2:]
    with suppress(OSError, ValueError):  # Hydra was told to keep no record
        given = [clean(word) for word in files.read_words()] or given
    run.words, run.environment = given, flatten({key: value for key, value in record.items() if key != "folder"})


def count_statuses(runs: Sequence[Run]) -> dict[str, int]:
    """Return how many runs have which status."""
    counts = Counter(run.status for run in runs)
    return {status: counts[status] for status in STATUSES if counts[status]}


def thin(curve: Curve, points: int) -> Curve:
    """Keep at most so many points (8 or more): the ends, and of each stretch its extremes and a NaN."""
    count = len(curve.steps)
    if count <= points:
        return curve
    values, kept = np.asarray(curve.values), {0, count - 1}
    for stretch in np.array_split(np.arange(count), (points - 2) // 3):
        odd = np.isnan(values[stretch])
        low, high = (np.where(odd, end, values[stretch]) for end in (np.inf, -np.inf))
        kept |= {int(stretch[index]) for index in (odd.argmax(), low.argmin(), high.argmax())}
    order = sorted(kept)
    return Curve([curve.steps[i] for i in order], [curve.values[i] for i in order])


class Charts(NamedTuple):
    """All charts, as the page's script takes them."""

    groups: dict[str, list[tuple[str, list[Any]]]]  # by "train", "val", ...: metrics, and their curves
    lines: list[list[Any]]  # each curve's run, its colour, its name and the photograph
    colours: dict[int, int]  # of the runs that have any curve, by their number
    points: int  # of each curve at most


def make_charts(runs: Sequence[Run]) -> Charts:
    """Lay the curves of all runs over each other, in a bounded number of points."""
    lines = [(n, name, curves) for n, run in enumerate(runs) for name, curves in run.curves.items() if curves]
    points = max(40, min(_POINTS, _MOST_POINTS // max(1, sum(len(curves) for _, _, curves in lines))))
    groups: dict[str, list[tuple[str, list[Any]]]] = {}
    for name in sorted({metric for _, _, curves in lines for metric in curves}, key=_place):
        data = [_plain(i, thin(curves[name], points)) for i, (_, _, curves) in enumerate(lines) if name in curves]
        groups.setdefault(name.rpartition("/")[0].split("/")[0], []).append((name, data))
    colours = {number: place for place, number in enumerate(dict.fromkeys(number for number, _, _ in lines))}
    return Charts(groups, [[n, colours[n], runs[n].name, name] for n, name, _ in lines], colours, points)


def _place(name: str) -> tuple[int, str, bool, list[tuple[int, str]]]:
    """Training and validation first, the loss first within each."""
    group = name.rpartition("/")[0].split("/")[0]
    known = _GROUPS.index(group) if group in _GROUPS else len(_GROUPS)
    return known, group, not name.endswith("/loss"), natural(name)


def _plain(line: int, curve: Curve) -> list[Any]:
    """JSON has no words for what is not finite: JavaScript reads them from texts."""
    values = [float(f"{v:.6g}") if math.isfinite(v) else str(v).replace("inf", "Infinity") for v in curve.values]
    return [line, [int(step) for step in curve.steps], values]


def natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts 2 before 10."""
    return [(int(part[:15]) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def last_values(run: Run) -> dict[str, float]:
    """Return the last value of each metric; of a run of several photographs those of the first."""
    return {name: curve.values[-1] for name, curve in next(iter(run.curves.values()), {}).items()}


def columns_of(runs: Sequence[Run]) -> list[str]:
    """Choose the metrics whose last values stand in the table of all runs."""
    found = {name for run in runs for name in last_values(run) if name.startswith(("train/", "val/"))}
    return sorted(found, key=lambda name: (not name.endswith("/loss"), name.startswith("train/"), natural(name)))[:5]


class Differences(NamedTuple):
    """Settings whose values differ among the runs of one command, environments included."""

    command: str
    runs: list[int]  # their numbers
    rows: dict[str, list[str]]  # by key, a value for each run
    usual: dict[str, str | None]  # by key, the value that most runs have, where there is one
    same: int  # keys with the same value in all


def find_differences(runs: Sequence[Run]) -> list[Differences]:
    """Compare the runs of each command that has several."""
    by_command: dict[str, dict[int, dict[str, str]]] = {}
    for number, run in enumerate(runs):
        if run.settings:
            environment = {f"environment.{key}": value for key, value in run.environment.items()}
            by_command.setdefault(run.command, {})[number] = run.settings | environment
    tables = []
    for command, found in by_command.items():
        every = {key: [own.get(key, "not set") for own in found.values()] for own in found.values() for key in own}
        rows = {key: values for key, values in every.items() if len(set(values)) > 1}
        most = {key: Counter(values).most_common(1)[0] for key, values in rows.items()}
        usual = {key: value if 2 * count > len(found) else None for key, (value, count) in most.items()}
        if len(found) > 1:
            tables.append(Differences(command, list(found), rows, usual, len(every) - len(rows)))
    return tables
