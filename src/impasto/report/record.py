"""A run folder as the report shows it; nothing in it can stop the report."""

import math
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
from impasto.report.rendering import markdown
from impasto.report.texts import Allowance, clean, flatten, number
from impasto.run_folders import Curve, RunFolder, read_text, read_yaml, reason
from impasto.run_folders.folder import moment

STATUSES = ("finished", "running", "pruned", "interrupted", "failed", "died", "unreadable")
_POINTS = 800  # of a curve
_ITS_OWN = ("folder", "run_id", "resume")  # keys of the configuration that differ between any two runs
_MOST = 40  # facts of an environment, texts of one run, problems: what impasto writes has far fewer


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
    settings: dict[str, str] = field(default_factory=dict)  # the configuration, without what differs in any two runs
    environment: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)  # the environment, without what differs in any two runs
    results: dict[str, Markup] = field(default_factory=dict)  # Markdown files by name
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)  # by photograph ("": the run's own) and metric
    figures: list[list[str]] = field(default_factory=list)  # of each: name, values, last, least, greatest
    curves_left_out: int = 0  # photographs whose curves were not read
    problems: list[str] = field(default_factory=list)  # what is wrong with which file
    plots: list[Picture] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)  # photographs beside what became of them
    left_out: int = 0  # pictures that it has and the page has not
    outside: bool = False  # whether it has pictures outside of its folder, which the page has not

    @property
    def how_to_go_on(self) -> str:
        """The command that goes on with a run that was stopped; "" where there is none."""
        if self.command == "sweep" and self.status in ("interrupted", "died", "failed"):  # the same command again
            return shlex.join(["impasto", "sweep", *self.words])
        if self.status not in ("interrupted", "died") or "resume" not in self.config or not self.command:
            return ""
        return f"impasto {self.command} resume={shlex.quote(clean(str(self.folder.absolute())))}"


def read_run(folder: Path, name: str, *, texts: int = 300_000, photographs: int = 12) -> Run:
    """Read all of a run folder but its pictures; what cannot be read is among its problems.

    Args:
        folder: the run folder.
        name: to show.
        texts: bytes that they may take in the page.
        photographs: at most, of which curves are read.
    """
    run, files, allowance = Run(folder, clean(name)), RunFolder(folder), Allowance(texts)
    with _noted(run, files.status_file.name):
        _read_status(run, files, allowance)
    with _noted(run, files.config_file.name):
        _read_config(run, files)
    with _noted(run, files.environment_file.name):
        _read_environment(run, files, allowance)
    with_curves = files.photographs_with_curves()
    run.curves_left_out = max(0, len(with_curves) - photographs)
    for photograph in with_curves[:photographs]:
        with _noted(run, f"{photograph}/metrics.csv".lstrip("/")):
            _read_curves(run, files, photograph)
    for path in sorted(folder.glob("*.md"))[:_MOST]:
        with _noted(run, path.name):
            text = allowance.cut(clean(read_text(folder, path.name)), 100_000, where=clean(path.name))
            run.results[clean(path.name)[:100]] = markdown(text)
    run.config_text = allowance.cut(run.config_text, 100_000, where=clean(str(files.config_file)))
    run.figures = run.figures[:200]
    run.problems = [problem[:600] for problem in run.problems[:_MOST]]
    return run


@contextmanager
def _noted(run: Run, name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        run.problems.append(clean(f"{name}: {reason(error)}"))


def _read_status(run: Run, files: RunFolder, allowance: Allowance) -> None:
    record = files.read_status()
    run.status, run.started = record["status"], moment(record.get("started"))
    run.error = allowance.cut(clean(record.get("error") or ""), 2_000, where=files.status_file.name)
    run.traceback = allowance.cut(clean(record.get("traceback") or ""), 20_000, where=clean(str(files.status_file)))
    seconds = record.get("seconds")
    run.seconds = float(seconds) if isinstance(seconds, int | float) and abs(seconds) < 1e12 else None
    if files.has_died():
        run.status = "died"
    elif run.status == "running" and run.started:
        run.seconds = (datetime.now().astimezone() - run.started).total_seconds()


def _read_config(run: Run, files: RunFolder) -> None:
    run.config_text = clean(files.read_config_text())
    run.config = read_yaml(run.config_text)
    run.experiment = clean(run.config.get("name") or "")[:100]
    where = str(run.config.get("folder") or run.folder)
    flat = flatten({key: value for key, value in run.config.items() if key not in _ITS_OWN})
    run.settings = {key: value.replace(where, "<run folder>") for key, value in flat.items()}


def _read_environment(run: Run, files: RunFolder, allowance: Allowance) -> None:
    run.environment = files.read_environment()
    words = run.environment.get("command")
    given = [clean(word)[:300] for word in words[1:200]] if isinstance(words, list) else []
    if given[:1] == ["--config-name"] and len(given) > 1:
        run.command, given = given[1].replace("_", " ")[:40], given[2:]
    try:
        run.words = [clean(word)[:300] for word in files.read_words()[:200]] or given
    except (OSError, ValueError):
        run.words = given
    facts = flatten({key: value for key, value in run.environment.items() if key not in ("command", "folder")})
    for key, value in list(facts.items())[:_MOST]:
        run.facts[allowance.cut(clean(key), 200, where="")] = allowance.cut(clean(value), 500, where="")


def _read_curves(run: Run, files: RunFolder, photograph: str) -> None:
    curves, problems = files.read_metrics(photograph)
    name = clean(photograph)
    kept = run.curves.setdefault(name, {})
    for metric, curve in list(curves.items())[: _MOST * 2]:
        kept[clean(metric)] = thin(curve, _POINTS)
        numbers = [value for value in curve.values if not math.isnan(value)] or [math.nan]
        figures = map(number, (curve.values[-1], min(numbers), max(numbers)))
        title = f"{name}: {clean(metric)}" if name else clean(metric)
        run.figures.append([title, f"{len(curve.values):,}", *figures])
    run.problems += [clean(f"{photograph}/metrics.csv: {problem}".lstrip("/")) for problem in problems]


def thin(curve: Curve, points: int) -> Curve:
    """Keep at most so many points (8 or more): the ends, and of each stretch its extremes and what is not finite."""
    count = len(curve.steps)
    if count <= points:
        return curve
    values = np.asarray(curve.values)
    kept = {0, count - 1}
    for stretch in np.array_split(np.arange(count), (points - 2) // (2 if np.isfinite(values).all() else 5)):
        finite = stretch[np.isfinite(values[stretch])]
        if finite.size:
            kept |= {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
        for odd in (np.isnan, np.isposinf, np.isneginf):
            kept |= set(stretch[odd(values[stretch])][:1].tolist())
    order = sorted(kept)
    return Curve([curve.steps[i] for i in order], [curve.values[i] for i in order])
