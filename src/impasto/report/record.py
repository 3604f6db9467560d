"""A run folder as the report shows it; nothing in it can stop the report."""

import os
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from impasto.report.curves import Metrics, read_metrics
from impasto.report.texts import clean, flatten, moment, plain
from impasto.run_folders import is_alive, read_json, read_text, read_yaml, reason

STATUSES = ("finished", "running", "pruned", "interrupted", "failed", "died", "unreadable")
_RECORDED = ("running", "finished", "pruned", "interrupted", "failed")
_MOST_CURVES = 100  # metrics.csv of one run that are looked for: one a photograph
_ITS_OWN = ("folder", "run_id", "resume")  # keys of the configuration that differ between any two runs


@dataclass
class Run:
    """A run folder.

    Attributes:
        folder: where it is.
        name: told apart from those of the other runs.
        status: one of `STATUSES`.
        command: of impasto, such as "train"; "" where it is not known.
        experiment: its name in the configuration.
        words: behind the command, as the user gave them.
        started: when it was begun, or resumed.
        seconds: how long it took, or has been taking.
        error: what it failed with, a line.
        traceback: of the error.
        config_text: config.yaml.
        config: config.yaml, plain data.
        settings: config.yaml flattened, without what differs between any two runs.
        environment: environment.json, plain data.
        metrics: by name of a photograph ("" where there is only one), its metrics.csv.
        curves_left_out: photographs whose curves were not read.
        problems: what is wrong with which file.
    """

    folder: Path
    name: str
    status: str = "unreadable"
    command: str = ""
    experiment: str = ""
    words: list[str] = field(default_factory=list)
    started: datetime | None = None
    seconds: float | None = None
    error: str = ""
    traceback: str = ""
    config_text: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Metrics] = field(default_factory=dict)
    curves_left_out: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def how_to_go_on(self) -> str:
        """The command that goes on with a run that was stopped; "" where there is none."""
        if self.command == "sweep" and self.status in ("interrupted", "died", "failed"):  # the same command again
            return shlex.join(["impasto", "sweep", *self.words])
        if self.status not in ("interrupted", "died") or "resume" not in self.config or not self.command:
            return ""
        return f"impasto {self.command} resume={shlex.quote(clean(str(self.folder.absolute())))}"


def read_run(folder: Path, name: str, *, points: int, files: int = 12) -> Run:
    """Read a run folder; what cannot be read is among its problems.

    Args:
        folder: the run folder.
        name: to show.
        points: of a curve at most.
        files: of metrics at most: a run that painted many photographs has one for each.
    """
    run = Run(folder, clean(name))
    _attempt(run, "status.json", lambda: _read_status(run))
    _attempt(run, "config.yaml", lambda: _read_config(run))
    _attempt(run, "environment.json", lambda: run.environment.update(read_json(folder, "environment.json")))
    run.command, run.words = _command(run)
    found = list(_metrics_files(folder).items())
    run.curves_left_out = max(0, len(found) - files)
    for photograph, file in found[:files]:
        _attempt(run, file, lambda p=photograph, f=file: _read_curves(run, p, f, points))  # type: ignore[misc]
    return run


def _attempt(run: Run, name: str, read: Callable[[], None]) -> None:
    try:
        read()
    except (OSError, ValueError) as error:
        run.problems.append(clean(f"{name}: {reason(error)}"))


def _read_status(run: Run) -> None:
    record = read_json(run.folder, "status.json")
    if record.get("status") not in _RECORDED:
        raise ValueError(f"expected a status of {', '.join(_RECORDED)}; got {plain(record.get('status'))[:60]}")
    run.status = record["status"]
    run.started = moment(plain(record.get("started", "")))
    run.error, run.traceback = (clean(record[key]) if record.get(key) else "" for key in ("error", "traceback"))
    seconds = record.get("seconds")
    run.seconds = float(seconds) if isinstance(seconds, int | float) and abs(seconds) < 1e12 else None
    if run.status == "running":
        if not is_alive(record.get("pid"), born=run.started.timestamp() if run.started else None):
            run.status = "died"
        elif run.started is not None:
            run.seconds = (datetime.now().astimezone() - run.started).total_seconds()


def _read_config(run: Run) -> None:
    run.config_text = clean(read_text(run.folder, "config.yaml"))
    run.config = read_yaml(run.config_text)
    run.experiment = clean(run.config.get("name") or "")[:100]
    where = str(run.config.get("folder") or run.folder)
    flat = flatten({key: value for key, value in run.config.items() if key not in _ITS_OWN})
    run.settings = {key: value.replace(where, "<run folder>") for key, value in flat.items()}


def _command(run: Run) -> tuple[str, list[str]]:
    """The command and the words behind it, from what Python was started with."""
    words = run.environment.get("command")
    given = [clean(word) for word in words[1:200]] if isinstance(words, list) else []
    if given[:1] == ["--config-name"] and len(given) > 1:
        return given[1].replace("_", " ")[:40], _job_words(run) or given[2:]
    return "", _job_words(run) or given


def _job_words(run: Run) -> list[str]:
    """Hydra's record of the words; of a job of a multirun those are its own."""
    try:
        words = read_yaml(f"words:\n{read_text(run.folder, '.hydra/overrides.yaml')}")["words"]
    except (OSError, ValueError):
        return []
    return [clean(word)[:300] for word in words[:200]] if isinstance(words, list) else []


def _metrics_files(folder: Path) -> dict[str, str]:
    """Files of metrics by photograph: one of the run, or one for each photograph that `impasto optimize` was given."""
    files = {"": "metrics.csv"} if os.path.lexists(folder / "metrics.csv") else {}
    found: list[Path] = []
    for base, folders, names in os.walk(folder / "curves"):
        folders.sort()
        found += [Path(base)] if "metrics.csv" in names else []
        if len(found) == _MOST_CURVES:
            break
    for path in found:
        name = path.relative_to(folder / "curves").as_posix()
        files[clean(name)] = f"curves/{name}/metrics.csv"
    return files


def _read_curves(run: Run, photograph: str, file: str, points: int) -> None:
    metrics = read_metrics(run.folder, file, points=points)
    run.metrics[photograph] = metrics
    run.problems += [clean(f"{file}: {problem}") for problem in metrics.problems]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Short names that tell folders apart: the ends of their paths.

    A job of a multirun, which is called 0, 1, ..., keeps the name of the folder above, a training of an ablation that
    of the ablation.
    """
    paths = [Path(os.path.abspath(folder)) for folder in folders]  # noqa: PTH100 (links keep their names)
    lengths = [3 if path.parent.name == "runs" else 2 if path.name.isdigit() else 1 for path in paths]
    while True:
        names = ["/".join(path.parts[-length:]) for path, length in zip(paths, lengths, strict=True)]
        again = Counter(names)
        longer = [i for i, name in enumerate(names) if again[name] > 1 and lengths[i] < len(paths[i].parts)]
        if not longer:
            return names
        for i in longer:
            lengths[i] += 1
