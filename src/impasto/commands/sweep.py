"""impasto sweep: search hyperparameters of a training; the same command again goes on with the same sweep."""

import logging
import os
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from omegaconf import DictConfig

from impasto.commands.sweep_definition import Definition, read_definition
from impasto.commands.sweep_results import Results
from impasto.commands.sweep_trial import LOG, Launcher, Listener, wait_for_leftover
from impasto.commands.sweep_workers import FIRST, WORKER, end, end_with, recorded_once, start_helper
from impasto.group import find_group, usable_cores
from impasto.run_folders import read_status
from impasto.sweep.objectives import NotLoggedError, reached
from impasto.sweep.owners import SECONDS_BETWEEN_SIGNS
from impasto.sweep.storage import StorageLostError, open_storage, storage_name
from impasto.sweep.trials import Outcome, Trials
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted
from impasto.tracking.stop import StopSignal

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 30.0


def run(cfg: DictConfig) -> None:
    """Run trials until the sweep has as many as configured; write what they reached.

    Raises:
        Interrupted: stopped by Ctrl-C or SIGTERM; every trial is saved.
        ValueError: the search space, the words of the trainings or the objectives are wrong, or the sweep was begun
            with others.
        StorageLostError: the storage cannot be reached.
    """
    if (group := find_group()).size > 1:
        raise ValueError(
            f"{group.starter} started {group.size} processes of one sweep; expected one, or an array of jobs"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not isinstance(cfg.workers, int) or cfg.workers < 1:
        raise ValueError(f"expected workers of at least 1, got {cfg.workers}")
    definition = read_definition(cfg)
    folder = Path(cfg.output).expanduser().absolute()
    name = storage_name(cfg.storage, folder)
    trials = definition.trials(open_storage(name), storage_name=name, folder=folder)
    worker, is_helper = int(os.environ.get(WORKER, "0")), WORKER in os.environ
    if cfg.workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores(processes=cfg.workers)))
    sweep = _Sweep(cfg, definition, trials, folder, Launcher(worker=worker, workers=cfg.workers))
    with ExitStack() as stack:
        stack.enter_context(recorded_once(folder, cfg))
        stop = stack.enter_context(StopSignal())
        if is_helper:
            threading.Thread(target=end_with, args=(int(os.environ[FIRST]),), daemon=True).start()
        helpers = [] if is_helper else [start_helper(folder, number) for number in range(1, cfg.workers)]
        try:
            sweep.work(stop)
        except BaseException:
            end(helpers)
            raise
        while any(helper.poll() is None for helper in helpers):
            if stop.requested:
                end(helpers)
            time.sleep(0.2)
        if helpers:
            sweep.work(stop)  # what a helper that died has left
        if not is_helper:
            sweep.results.write_all()
        if stop.requested:
            raise Interrupted(f"stopped; the same command goes on: {sweep.results.go_on}")
    sweep.tell_seconds()
    if not is_helper:
        sweep.results.tell()


class _Sweep:
    """One worker of a sweep."""

    def __init__(
        self, cfg: DictConfig, definition: Definition, trials: Trials, folder: Path, launcher: Launcher
    ) -> None:
        self.cfg, self.definition, self.trials, self.folder, self.launcher = cfg, definition, trials, folder, launcher
        self.results = Results(cfg, definition, trials, folder)
        self._signed = 0.0
        self._beside: list[float] = []  # seconds of each trial that were not its training's

    def work(self, stop: StopSignal) -> None:
        """Take trials until none is left or the sweep is stopped.

        Raises:
            StorageLostError: the storage cannot be reached any more; what the trials reached lies in their folders.
        """
        log.info("sweep folder: %s", self.folder)
        try:
            with Bar(total=self.trials.total, done=self._ended(), log_every_seconds=_LOG_EVERY_SECONDS) as bar:
                while not stop.requested:
                    begin = time.monotonic()
                    if (trial := self.trials.claim()) is None:
                        break
                    outcome = self._run(trial, bar, stop)
                    if outcome is None:
                        self.trials.give_back(trial)
                        continue
                    self.trials.tell(trial, outcome)
                    log.info("trial %d: %s", trial.number, self.definition.told(outcome))
                    self.results.write_tables()
                    self._beside.append(time.monotonic() - begin - outcome.seconds)
                    bar.update(self._ended(), "")
        except StorageLostError as error:
            raise StorageLostError(
                f"{error}; what the trials reached is kept in {self.folder}, and the same command goes on"
            ) from error

    def tell_seconds(self) -> None:
        """Say what the sweep itself took of the time."""
        if len(self._beside) > 1:
            first, *others = self._beside
            log.info(
                "seconds a trial beside its training: %.1f (median of %d; %.1f for the first, which imports)",
                median(others), len(others), first,
            )  # fmt: skip

    def _ended(self) -> int:
        return sum(trial.state.is_finished() for trial in self.trials.all())

    def _run(self, trial: optuna.Trial, bar: Bar, stop: StopSignal) -> Outcome | None:
        """Train a trial; None where it was stopped, or its process killed, so that it is to be taken again."""
        folder = self.folder / str(trial.number)
        wait_for_leftover(folder, stop, lambda: self._give_sign(trial))
        code = 0
        if not stop.requested and read_status(folder).get("status") not in ("finished", "pruned", "failed"):
            words = self.definition.words(trial.params, folder)
            log.info("trial %d: %s", trial.number, self.definition.parameters(trial.params))
            code = self.launcher.run(
                words,
                folder,
                run_id=f"{self.definition.name}-{self.trials.id}-{trial.number}",
                listener=self._listener(trial, folder, bar),
                stop=stop,
            )
        record = read_status(folder)
        if record.get("status") in ("finished", "pruned", "failed"):
            return self._outcome(folder, record)
        if stop.requested:
            return None
        if code == 1:  # Hydra or an import failed before there was a run folder: so would all other trials
            self.trials.give_back(trial)
            raise ValueError(f"trial {trial.number} could not begin: {_last_line(folder)} (see {folder / LOG})")
        killed = f"its process was killed by signal {-code}" if code < 0 else f"its process ended with exit code {code}"
        if self.trials.note_kill(trial):
            log.warning("trial %d: %s; it is run again from its last checkpoint", trial.number, killed)
            return None
        return Outcome("failed", None, f"{killed}, again and again (out of memory?)", 0.0)

    def _outcome(self, folder: Path, record: Mapping[str, Any]) -> Outcome:
        seconds, error = float(record.get("seconds", 0.0)), str(record.get("error") or "")
        if record["status"] != "finished":
            return Outcome(record["status"], None, error, seconds)
        try:
            return Outcome("finished", reached(self.definition.objectives, folder), "", seconds)
        except NotLoggedError as wrong:
            raise ValueError(f"objectives: {wrong} of {folder}") from wrong
        except ValueError as wrong:
            return Outcome("failed", None, str(wrong), seconds)

    def _listener(self, trial: optuna.Trial, folder: Path, bar: Bar) -> Listener:
        done = self._ended()
        first, several = self.definition.objectives[0], len(self.definition.objectives) > 1

        def validated(step: int, losses: Mapping[str, float]) -> bool:
            if several or step == 0 or first.metric not in losses:
                return False
            try:
                return self.trials.report(trial, step, first.value(losses[first.metric], folder))
            except OSError as error:  # ValueErrors are told when the trial ends
                log.warning("trial %d cannot be judged while it runs: %s", trial.number, error)
                return False
            except ValueError:
                return False

        def progress(step: int, steps: int) -> None:
            bar.update(done, f"trial {trial.number}: step {step} of {steps}")

        return Listener(validated, progress, lambda: self._give_sign(trial))

    def _give_sign(self, trial: optuna.Trial) -> None:
        if time.monotonic() - self._signed > SECONDS_BETWEEN_SIGNS:
            self._signed = time.monotonic()
            self.trials.give_sign(trial)


def _last_line(folder: Path) -> str:
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "it did not start"
    told = [line.strip() for line in lines if line.strip() and "HYDRA_FULL_ERROR" not in line]
    return told[-1].removeprefix("error: ")[:500] if told else "it did not start"
