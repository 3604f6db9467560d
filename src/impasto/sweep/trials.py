"""The trials of a sweep: each is claimed by one worker, ended once, and taken over where its worker died."""

import contextlib
import json
import math
import os
import secrets
import socket
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import psutil
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from impasto.redaction import without_secrets
from impasto.run_folders import is_alive
from impasto.sweep.search import Objective, Sampling

SECONDS_BETWEEN_SIGNS = 30.0
_SECONDS_UNTIL_LOST = 300.0  # without a sign, from a worker on another machine
_STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class Outcome(NamedTuple):
    """How a trial ended."""

    state: str  # "finished", "pruned" or "failed"
    values: Mapping[str, float]  # by objective; empty where it has none
    error: str  # one sentence; "" where there is none
    seconds: float  # of its training's last start


@contextlib.contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Say in one sentence, without its password, that a storage cannot be used: a ConnectionError."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        why = " ".join(str(error.__cause__ or error).split()).split("(Background on this error")[0].strip()[:300]
        raise ConnectionError(without_secrets(f"the storage {name} cannot be used: {why}")) from error


def _open(name: str) -> BaseStorage:
    path = Path(name.removeprefix("sqlite:///")).expanduser()
    if "://" in name and not name.startswith("sqlite:"):
        return get_storage(RDBStorage(name, engine_kwargs={"pool_pre_ping": True}))
    path.parent.mkdir(parents=True, exist_ok=True)
    if "://" in name:
        with FileLock(f"{path}.lock"):  # two that make SQLite's tables at the same time would fail
            return get_storage(RDBStorage(name, engine_kwargs={"connect_args": {"timeout": 60}}))
    lock = JournalFileOpenLock(str(path))
    lock.acquire()
    try:
        with path.open("ab+") as file:
            file.seek(0)
            text = file.read()
            if not text.startswith(b'{"op_code":') and text:
                raise ValueError(f"{path} is no journal file of Optuna")
            file.truncate(text.rfind(b"\n") + 1)  # the part of a line that a full disk or a power cut has left
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


@dataclass
class Sweep:
    """The trials of a sweep; `id` is what tells it from others of its name.

    Raises:
        ValueError: a sweep of this name was begun with another definition or in another folder.
    """

    name: str
    storage_name: str  # URL of SQLAlchemy, or a journal file, which also does on a file system that machines share
    folder: Path  # with a folder for each trial; on a file system that all its workers see
    objectives: Mapping[str, Objective]  # by name
    sampling: Sampling  # makes each trial's sampler; has the space
    pruner: BasePruner
    total: int  # trials
    definition: Mapping[str, Any]  # all that must stay the same for the trials to be comparable; plain data

    def __post_init__(self) -> None:
        self.storage, self.definition = _open(self.storage_name), json.loads(json.dumps(self.definition))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(self.folder / ".lock")
        directions = [objective.direction for objective in self.objectives.values()]
        with self.lock, warnings.catch_warnings():
            self.study = optuna.create_study(
                storage=self.storage, study_name=self.name, directions=directions, load_if_exists=True
            )
            self.id = str(self.study.user_attrs.get("id") or secrets.token_hex(3))
            self._begin()
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.study.set_metric_names(list(self.objectives))

    def _begin(self) -> None:
        began: dict[str, Any] = self.study.user_attrs.get("definition", {})
        # Two folders of one sweep would not see each other's lock, and both claim the same trial.
        mark = self.folder / ".sweep"
        marked = mark.read_text(encoding="utf-8") if mark.exists() else None
        if marked != self.id and (began or marked):
            expected = "the output=, name= and storage= that it was begun with, or others for a new sweep"
            wrong = f"{self.folder} is not the folder of the sweep '{self.name}' in this storage"
            raise ValueError(f"{wrong}; expected {expected}")
        for key, value in self.definition.items():
            if began and began.get(key) != value:
                change = f"{key} was {json.dumps(began.get(key))} and is {json.dumps(value)}"
                advice = "Give what it was begun with, or name=<another> for a new sweep"
                raise ValueError(f"the sweep '{self.name}' was begun with another definition: {change}. {advice}")
        if not began:
            self.study.set_user_attr("id", self.id)
            mark.write_text(self.id, encoding="utf-8")
            self.study.set_user_attr("definition", self.definition)

    def all(self) -> list[FrozenTrial]:
        """Return the trials in the order of their numbers."""
        return sorted(self.study.get_trials(deepcopy=False), key=lambda trial: trial.number)

    def ended(self) -> int:
        """Return how many trials have ended."""
        return sum(trial.state.is_finished() for trial in self.all())

    def claim(self) -> optuna.Trial | None:
        """Take a trial, one whose worker died or else a new one, with all its parameters; None where none is left."""
        with self.lock:
            trials = self.all()
            lost = next((t for t in trials if t.state == TrialState.RUNNING and not _has_worker(t)), None)
            if lost is None and len(trials) >= self.total:
                return None
            sampler = self.sampling.of_trial(len(trials) if lost is None else lost.number)
            study = optuna.load_study(study_name=self.name, storage=self.storage, sampler=sampler, pruner=self.pruner)
            trial = study.ask() if lost is None else optuna.Trial(study, lost._trial_id)
            for key, distribution in self.sampling.space.items():  # what it has already stays as it is
                trial._suggest(key, distribution)  # the public ones take a distribution apart, to put it together again
            self.give_sign(trial)
            return trial

    def give_sign(self, trial: optuna.Trial) -> None:
        """Show the other workers that this one runs the trial."""
        born = round(psutil.Process().create_time(), 1)
        sign = {"host": socket.gethostname(), "pid": os.getpid(), "born": born, "seen": round(time.time())}
        trial.set_user_attr("worker", sign)

    def give_back(self, trial: optuna.Trial) -> None:
        """Leave a trial that was stopped to whoever comes next."""
        trial.set_user_attr("worker", None)

    def report(self, trial: optuna.Trial, step: int, value: float) -> bool:
        """Keep an intermediate value, a step's first one; return whether the trial should end early."""
        if not math.isfinite(value):
            return False
        if step not in self.storage.get_trial(trial._trial_id).intermediate_values:
            trial.report(value, step)
        return trial.should_prune()

    def end(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Record how a trial ended; what has ended already keeps its first end."""
        with contextlib.suppress(UpdateFinishedTrialError):
            if outcome.error:
                trial.set_user_attr("error", outcome.error)
            trial.set_user_attr("seconds", outcome.seconds)
            values = list(outcome.values.values()) or None
            self.study.tell(trial, values, state=_STATES[outcome.state], skip_if_finished=True)


def state_of(trial: FrozenTrial) -> str:
    """Return "finished", "pruned", "failed", "running" or "interrupted" (no worker has it)."""
    if trial.state == TrialState.RUNNING and _has_worker(trial):
        return "running"
    return next((name for name, state in _STATES.items() if state == trial.state), "interrupted")


def _has_worker(trial: FrozenTrial) -> bool:
    """Whether its worker still runs: asked of this machine's processes, or judged by its last sign from another."""
    worker = trial.user_attrs.get("worker") or {"host": None, "seen": 0}
    if worker["host"] == socket.gethostname():
        return is_alive(worker["pid"], born=worker["born"])
    return bool(time.time() - worker["seen"] < _SECONDS_UNTIL_LOST)
