"""The trials of a sweep: each is claimed by one worker, ended once, and taken over where its worker died."""

import contextlib
import json
import math
import os
import secrets
import socket
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import psutil
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from impasto.files import write_text
from impasto.run_folders import is_alive
from impasto.sweep.objectives import Objective
from impasto.sweep.space import Sampling
from impasto.sweep.storage import open_storage, patient

MOST_KILLS = 3  # of a trial's process, the worker surviving: then it is to blame itself
SECONDS_BETWEEN_SIGNS = 30.0
_MARK = ".sweep"  # a file in the folder, with the sweep's id
_SECONDS_UNTIL_LOST = 300.0  # without a sign, from a worker on another machine
_STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class Sweep(NamedTuple):
    """What a sweep is."""

    name: str
    storage: str  # URL or file that its workers share
    folder: Path  # with a folder for each trial; on a file system that all its workers see
    objectives: Mapping[str, Objective]  # by name
    sampling: Sampling  # makes each trial's sampler; has the space
    pruner: BasePruner
    total: int  # trials
    definition: Mapping[str, Any]  # all that must stay the same for the trials to be comparable; plain data


class Outcome(NamedTuple):
    """How a trial ended."""

    state: str  # "finished", "pruned" or "failed"
    values: Mapping[str, float]  # by objective; empty where it has none
    error: str  # one sentence; "" where there is none
    seconds: float  # of its training's last start


class Trials:
    """The trials of one sweep; `id` is what tells it from others of its name.

    Raises:
        ValueError: a sweep of this name was begun with another definition or in another folder.
        StorageLostError: the storage cannot be reached.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep, self.storage_name = sweep, sweep.storage
        self.storage = open_storage(sweep.storage)
        sweep.folder.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(sweep.folder / ".lock")
        with self.lock:
            self.study, self.id = self._begin()

    @patient
    def _begin(self) -> tuple[optuna.Study, str]:
        sweep = self.sweep
        study = optuna.create_study(
            storage=self.storage,
            study_name=sweep.name,
            directions=[objective.direction for objective in sweep.objectives.values()],
            pruner=sweep.pruner,
            load_if_exists=True,
        )
        began, definition = study.user_attrs.get("definition"), json.loads(json.dumps(sweep.definition))
        if began is None:
            mark, own = self._mark(), study.user_attrs.get("id") or secrets.token_hex(3)
            if mark != own and (mark or any(path.name.isdecimal() for path in sweep.folder.iterdir())):
                raise ValueError(
                    f"{sweep.folder} holds the trials of another sweep; expected another output= or name=, or the "
                    "name= and storage= that it was begun with"
                )
            study.set_user_attr("id", own)
            write_text(sweep.folder / _MARK, own)
            study.set_user_attr("definition", definition)
        elif changes := _differences(began, definition):
            raise ValueError(
                f"the sweep '{sweep.name}' was begun with another definition: {'; '.join(changes)}. "
                "Give what it was begun with, or name=<another> for a new sweep"
            )
        own = str(study.user_attrs["id"])
        self._check_folder(own)
        return study, own

    def _mark(self) -> str:
        file = self.sweep.folder / _MARK
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def _check_folder(self, own: str) -> None:
        """Two folders of one sweep would not see each other's lock, and both claim the same trial."""
        if self._mark() != own:
            raise ValueError(
                f"the sweep '{self.sweep.name}' of this storage has its trials in another folder than "
                f"{self.sweep.folder}; expected the output= that it was begun with, or name=<another> for a new sweep"
            )

    @patient
    def all(self) -> list[FrozenTrial]:
        """Return the trials in the order of their numbers."""
        return sorted(self.study.get_trials(deepcopy=False), key=lambda trial: trial.number)

    def snapshot(self) -> optuna.Study:
        """Return a study in memory with the trials and the objectives' names as they stand."""
        study = optuna.create_study(study_name=self.sweep.name, directions=self.study.directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(list(self.sweep.objectives))
        study.add_trials(self.all())
        return study

    def claim(self) -> optuna.Trial | None:
        """Take a trial, one whose worker died or else a new one, with all its parameters; None where none is left."""
        with self.lock:
            return self._take()

    @patient
    def _take(self) -> optuna.Trial | None:
        """Done again after the storage was lost midway, it finds the trial that it had begun: one without a worker."""
        self._check_folder(str(self.study.user_attrs["id"]))  # another may have begun the sweep elsewhere meanwhile
        trials = self.all()
        lost = next((t for t in trials if t.state == TrialState.RUNNING and not _has_worker(t)), None)
        if lost is None and len(trials) >= self.sweep.total:
            return None
        study = optuna.load_study(
            study_name=self.sweep.name,
            storage=self.storage,
            sampler=self.sweep.sampling.of_trial(len(trials) if lost is None else lost.number),
            pruner=self.sweep.pruner,
        )
        trial = study.ask() if lost is None else optuna.Trial(study, lost._trial_id)
        for key, distribution in self.sweep.sampling.space.items():  # what it has already stays as it is
            trial._suggest(key, distribution)  # the public ones take a distribution apart, to put it together again
        self.give_sign(trial)
        return trial

    @patient
    def give_sign(self, trial: optuna.Trial) -> None:
        """Show the other workers that this one runs the trial."""
        born = round(psutil.Process().create_time(), 1)
        sign = {"host": socket.gethostname(), "pid": os.getpid(), "born": born, "seen": round(time.time())}
        trial.set_user_attr("worker", sign)

    @patient
    def give_back(self, trial: optuna.Trial) -> None:
        """Leave a trial that was stopped to whoever comes next."""
        trial.set_user_attr("worker", None)

    @patient
    def note_kill(self, trial: optuna.Trial) -> bool:
        """Count that the trial's process was killed; return whether it is worth another start."""
        kills = int(trial.user_attrs.get("kills", 0)) + 1
        trial.set_user_attr("kills", kills)
        return kills < MOST_KILLS

    @patient
    def report(self, trial: optuna.Trial, step: int, value: float) -> bool:
        """Keep an intermediate value, a step's first one; return whether the trial should end early."""
        if not math.isfinite(value):
            return False
        if step not in self.storage.get_trial(trial._trial_id).intermediate_values:
            trial.report(value, step)
        return trial.should_prune()

    @patient
    def end(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Record how a trial ended; what has ended already keeps its first end."""
        with contextlib.suppress(UpdateFinishedTrialError):
            if outcome.error:
                trial.set_user_attr("error", outcome.error)
            trial.set_user_attr("seconds", outcome.seconds)
            self.study.tell(
                trial, list(outcome.values.values()) or None, state=_STATES[outcome.state], skip_if_finished=True
            )


def state_of(trial: FrozenTrial) -> str:
    """Return "finished", "pruned", "failed", "running" or "interrupted" (no worker has it)."""
    if trial.state == TrialState.RUNNING and _has_worker(trial):
        return "running"
    return next((name for name, state in _STATES.items() if state == trial.state), "interrupted")


def _has_worker(trial: FrozenTrial) -> bool:
    """Whether its worker still runs: asked of this machine's processes, or judged by its last sign from another."""
    worker = trial.user_attrs.get("worker")
    if worker is None:
        return False
    if worker["host"] == socket.gethostname():
        return is_alive(worker["pid"], born=worker["born"])
    return bool(time.time() - worker["seen"] < _SECONDS_UNTIL_LOST)


def _differences(began: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say where two definitions differ, a phrase each."""
    old, new = _flat(began), _flat(now)
    said = {key: [json.dumps(d[key]) if key in d else "not there" for d in (old, new)] for key in {**old, **new}}
    return [f"{key} was {was} and is {is_now}" for key, (was, is_now) in said.items() if was != is_now]


def _flat(value: object, path: str = "") -> dict[str, object]:
    if not isinstance(value, Mapping):
        return {path: value}
    below = [_flat(inner, f"{path}.{key}" if path else str(key)) for key, inner in value.items()]
    return {key: inner for found in below for key, inner in found.items()}
