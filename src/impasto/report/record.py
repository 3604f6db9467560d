"""A run folder as the report shows it; nothing in it can stop the report."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from impasto.report.pictures import Comparison, Picture
from impasto.report.rendering import clean, flatten, markdown
from impasto.run_folders import Curve, RunFolder, read_text, reason
from impasto.run_folders.folder import moment

STATUSES = ("finished", "running", "pruned", "interrupted", "failed", "died", "unreadable")
POINTS = 400  # of a curve at most
_LONGEST = 50_000  # characters of a configuration, a table or a traceback
_MOST_PHOTOGRAPHS = 12  # of a run, of which curves are read
_ITS_OWN = ("folder", "run_id", "resume")  # keys of the configuration that differ between any two runs


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
        run.config_text = clean(read_text(folder, files.config_file.name), _LONGEST)
        run.experiment = clean(run.config.get("name") or "", 100)
        where = str(run.config.get("folder") or folder)
        flat = flatten({key: value for key, value in run.config.items() if key not in _ITS_OWN})
        run.settings = {key: value.replace(where, "<run folder>") for key, value in flat.items()}
    with run.noting("environment.json"):
        _read_environment(run, files)
    for photograph in files.photographs_with_curves()[:_MOST_PHOTOGRAPHS]:
        with run.noting("curves"):
            curves = files.read_metrics(photograph).items()
            run.curves[clean(photograph)] = {clean(metric): thin(curve, POINTS) for metric, curve in curves}
    for path in sorted(folder.glob("*.md")):
        with run.noting(path.name):
            run.results[clean(path.name)] = markdown(clean(read_text(folder, path.name), _LONGEST))
    return run


def _read_status(run: Run, files: RunFolder) -> None:
    record = files.read_status()
    run.status, run.started = record["status"], moment(record.get("started"))
    run.error = clean(record.get("error") or "")
    run.traceback = clean(record.get("traceback") or "", _LONGEST)
    seconds = record.get("seconds")
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
    try:
        run.words = [clean(word) for word in files.read_words()] or given
    except (OSError, ValueError):  # Hydra was told to keep no record
        run.words = given
    record.pop("folder", None)
    run.environment = flatten(record)


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
