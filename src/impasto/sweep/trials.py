"""The trials of a sweep: each is claimed by one worker, told once, and taken over where its worker died."""

import contextlib
import json
import logging
import math
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import optuna
from filelock import FileLock
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from impasto.files import write_text
from impasto.sweep.owners import is_there, sign_of_life
from impasto.sweep.samplers import Sampling
from impasto.sweep.space import Space
from impasto.sweep.storage import insist

log = logging.getLogger(__name__)

Direction = Literal["minimize", "maximize"]

MOST_KILLS = 3  # of a trial's process, the worker surviving: then it is to blame itself


class Outcome(NamedTuple):
    """How a trial ended.

    Attributes:
        state: "finished", "pruned" or "failed".
        values: of the objectives, in their order; None where it has none.
        error: one sentence; "" where there is none.
        seconds: of its training's last start.
    """

    state: str
    values: Sequence[float] | None
    error: str
    seconds: float


class Trials:
    """The trials of one sweep.

    Args:
        storage: that its workers share.
        storage_name: its URL or file.
        name: of the sweep.
        definition: everything that must stay the same for the trials to be comparable; plain data.
        directions: "minimize" or "maximize" of each objective.
        space: of the parameters.
        sampling: makes each trial's sampler.
        pruner: judges trials by their intermediate values.
        total: number of trials.
        folder: of the sweep; on a file system that all its workers see.

    Raises:
        ValueError: the sweep of this name was begun with another definition, says where they differ; or in another
            folder.
        StorageLostError: the storage cannot be reached.
    """

    def __init__(
        self,
        storage: BaseStorage,
        *,
        storage_name: str,
        name: str,
        definition: Mapping[str, Any],
        directions: Sequence[Direction],
        space: Space,
        sampling: Sampling,
        pruner: optuna.pruners.BasePruner,
        total: int,
        folder: Path,
    ) -> None:
        self.storage, self.storage_name, self.folder = storage, storage_name, folder
        self.space, self.sampling, self.total = space, sampling, total
        self.lock, self._mark = FileLock(folder / ".lock"), folder / ".sweep"  # which holds the sweep's id
        with self.lock:
            self.study: optuna.Study = insist(
                storage_name,
                lambda: optuna.create_study(
                    storage=storage, study_name=name, directions=list(directions), pruner=pruner, load_if_exists=True
                ),
            )
            self._define(name, json.loads(json.dumps(definition)))

    def _define(self, name: str, definition: Mapping[str, Any]) -> None:
        began = insist(self.storage_name, lambda: self.study.user_attrs.get("definition"))
        has_trials = any(path.name.isdecimal() for path in self.folder.iterdir())
        if began is None:
            if has_trials or (self._mark.exists() and self._mark.read_text() != self.id):
                raise ValueError(
                    f"{self.folder} holds the trials of another sweep; expected another output= or name=, or the name= "
                    "and storage= that it was begun with"
                )
            number = self.id or secrets.token_hex(3)
            insist(self.storage_name, lambda: self.study.set_user_attr("id", number))
            write_text(self._mark, number)
            insist(self.storage_name, lambda: self.study.set_user_attr("definition", definition))
        elif changes := differences(began, definition):
            raise ValueError(
                f"the sweep '{name}' was begun with another definition: {'; '.join(changes)}. "
                "Give what it was begun with, or name=<another> for a new sweep"
            )
        elif has_trials and not self._mark.exists():  # begun before folders were marked
            write_text(self._mark, self.id)
        self._check_folder()

    def _check_folder(self) -> None:
        """Two folders of one sweep would not see each other's lock, and both claim the same trial."""
        if not self._mark.exists() or self._mark.read_text() != self.id:
            raise ValueError(
                f"the sweep '{self.study.study_name}' of this storage has its trials in another folder than "
                f"{self.folder}; expected the output= that it was begun with, or name=<another> for a new sweep"
            )

    @property
    def id(self) -> str:
        """What tells this sweep from others of its name: six hexadecimal digits."""
        return str(insist(self.storage_name, lambda: self.study.user_attrs.get("id", "")))

    def all(self) -> list[FrozenTrial]:
        """Return the trials in the order of their numbers."""
        found = insist(self.storage_name, lambda: self.study.get_trials(deepcopy=False))
        return sorted(found, key=lambda trial: trial.number)

    def claim(self) -> optuna.Trial | None:
        """Take a trial: one whose worker died, or else a new one.

        Returns:
            The trial with all its parameters; None where nothing is left to take.
        """
        with self.lock:
            return insist(self.storage_name, self._take)

    def _take(self) -> optuna.Trial | None:
        """Done again after the storage was lost midway, it finds the trial that it had begun: one without a worker."""
        self._check_folder()  # another may have begun the sweep in another folder at the same moment
        trials = self.all()
        lost = next((t for t in trials if t.state == TrialState.RUNNING and not _has_worker(t)), None)
        waiting = next((t for t in trials if t.state == TrialState.WAITING), None)
        if lost is None and waiting is None and len(trials) >= self.total:
            return None
        number = lost.number if lost else waiting.number if waiting else len(trials)
        self.study.sampler = self.sampling(self.space, number)
        trial = self.study.ask() if lost is None else optuna.Trial(self.study, lost._trial_id)
        for key, distribution in self.space.items():  # what it has already stays as it is
            if lost is not None and key in lost.params and key not in trial.relative_params:
                self.study.sampler.sample_independent(self.study, lost, key, distribution)  # as it drew then
            if isinstance(distribution, FloatDistribution):
                trial.suggest_float(
                    key, distribution.low, distribution.high, log=distribution.log, step=distribution.step
                )
            elif isinstance(distribution, IntDistribution):
                trial.suggest_int(
                    key, distribution.low, distribution.high, log=distribution.log, step=distribution.step
                )
            else:
                assert isinstance(distribution, CategoricalDistribution)
                trial.suggest_categorical(key, distribution.choices)
        self._sign(trial)
        return trial

    def _sign(self, trial: optuna.Trial) -> None:
        trial.set_user_attr("worker", sign_of_life())

    def give_sign(self, trial: optuna.Trial) -> None:
        """Show the workers on other machines that this one still runs its trial."""
        insist(self.storage_name, lambda: self._sign(trial))

    def give_back(self, trial: optuna.Trial) -> None:
        """Leave a trial that was stopped to whoever comes next."""
        insist(self.storage_name, lambda: trial.set_user_attr("worker", None))

    def note_kill(self, trial: optuna.Trial) -> bool:
        """Count that the trial's process was killed; return whether it is worth another start."""
        kills = int(trial.user_attrs.get("kills", 0)) + 1
        insist(self.storage_name, lambda: trial.set_user_attr("kills", kills))
        return kills < MOST_KILLS

    def report(self, trial: optuna.Trial, step: int, value: float) -> bool:
        """Keep an intermediate value; return whether the trial should end early.

        A step that a trial reports again after a restart keeps its first value.
        """
        if not math.isfinite(value):
            return False

        def keep() -> bool:
            known = self.storage.get_trial(trial._trial_id).intermediate_values
            if step not in known:
                trial.report(value, step)
            return trial.should_prune()

        return insist(self.storage_name, keep)

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Record how a trial ended."""
        states = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}

        def record() -> None:
            if outcome.error:
                trial.set_user_attr("error", outcome.error)
            trial.set_user_attr("seconds", outcome.seconds)
            values = list(outcome.values) if outcome.state == "finished" and outcome.values else None
            self.study.tell(trial, values, state=states[outcome.state], skip_if_finished=True)

        with contextlib.suppress(UpdateFinishedTrialError):  # it was told, and the storage lost before it said so
            insist(self.storage_name, record)


def _has_worker(trial: FrozenTrial) -> bool:
    return is_there(trial.user_attrs.get("worker"))


def state_of(trial: FrozenTrial) -> str:
    """Return "finished", "pruned", "failed", "running", "interrupted" (no worker has it) or "waiting"."""
    if trial.state == TrialState.RUNNING:
        return "running" if _has_worker(trial) else "interrupted"
    names = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return names.get(trial.state, "waiting")


def differences(began: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """Say where two definitions differ, a phrase each."""
    told = []
    for key in dict.fromkeys([*began, *now]):
        old, new = began.get(key), now.get(key)
        place = f"{path}.{key}" if path else str(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            told += differences(old, new, place)
        elif old != new:
            told.append(f"{place} was {_plain(old)} and is {_plain(new)}")
    return told


def _plain(value: Any) -> str:  # noqa: ANN401 (any JSON)
    return "not there" if value is None else json.dumps(value).replace('"', "")
