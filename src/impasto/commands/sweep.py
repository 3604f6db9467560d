"""impasto sweep: search hyperparameters of a training; the same command again goes on with the same sweep."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from impasto.commands.sweep_definition import SweepSettings, read_definition
from impasto.commands.sweep_results import Results, in_words
from impasto.commands.sweep_trial import LOG, Message, Training
from impasto.group import find_group, usable_cores
from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder
from impasto.sweep.objectives import NotLoggedError
from impasto.sweep.trials import SECONDS_BETWEEN_SIGNS, Outcome, Trials
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted, recorded
from impasto.tracking.stop import StopSignal

log = logging.getLogger(__name__)

_SECONDS_FOR_LEFTOVER = 600.0  # that a training whose sweep was killed may take to save and stop
_ENDS = ("finished", "pruned", "failed")


def run(cfg: DictConfig) -> None:
    """Run trials until the sweep has as many as configured; write what they reached."""
    if (group := find_group()).size > 1:
        raise ValueError(
            f"{group.starter} started {group.size} processes of one sweep; expected one, or an array of jobs"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given = SweepSettings.read(cfg)
    sweep, words = read_definition(cfg, given)
    results = Results(Trials(sweep), words)
    if given.workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores(processes=given.workers)))
    log.info("sweep folder: %s", sweep.folder)
    with _record(sweep.folder, cfg), StopSignal() as stop:
        with Bar(total=sweep.total, done=results.ended()) as bar:
            gpus = [None] if given.workers == 1 else range(given.workers)
            _work([_Worker(results, stop, bar, gpu=gpu) for gpu in gpus], stop)
        results.write_page()
        if stop.requested:
            raise Interrupted(f"stopped; the same command goes on: {results.go_on}")
    results.log_end()


@contextmanager
def _record(folder: Path, cfg: DictConfig) -> Iterator[None]:
    """Keep the sweep's own record; where several commands work on one sweep, the first of them does."""
    config = without_secrets(OmegaConf.to_yaml(cfg, resolve=True))
    with suppress(Timeout), FileLock(folder / ".record.lock", timeout=0), recorded(folder, config=config):
        yield
        return
    yield


def _work(workers: list["_Worker"], stop: StopSignal) -> None:
    """Let all workers run trials at the same time; where one fails, the others save and stop."""
    with ThreadPoolExecutor(len(workers)) as pool:
        running = [pool.submit(worker.run) for worker in workers]
        try:
            while not all(future.done() for future in running):
                if any(future.done() and future.exception() for future in running):
                    stop.requested = True
                time.sleep(0.1)
        except KeyboardInterrupt:  # a second Ctrl-C
            for worker in workers:
                worker.abandoned = True
            raise
    for future in running:
        future.result()


class _Worker:
    """Runs one trial after the other, on a GPU of its own where there are several."""

    def __init__(self, results: Results, stop: StopSignal, bar: Bar, *, gpu: int | None) -> None:
        self.results, self.trials, self.stop, self.bar, self.gpu = results, results.trials, stop, bar, gpu
        self.objectives = self.trials.sweep.objectives
        self.abandoned = False  # once set, the training is killed
        self._signed = 0.0

    def run(self) -> None:
        """Take trials until none is left or the sweep is stopped."""
        while not self.stop.requested and (trial := self.trials.claim()) is not None:
            if (outcome := self._train(trial)) is None:
                self.trials.give_back(trial)
                continue
            self.trials.end(trial, outcome)
            ended = outcome.error or in_words(outcome.values)
            log.info("trial %d %s%s", trial.number, outcome.state, f": {ended}" if ended else "")
            self.results.write_tables()
            self.bar.update(self.results.ended(), "")

    def _train(self, trial: optuna.Trial) -> Outcome | None:
        """Train a trial; None where it was stopped, or its process killed, so that it is to be taken again."""
        folder, code = RunFolder(self.trials.sweep.folder / str(trial.number)), 0
        self._wait_for_leftover(trial, folder)
        if not self.stop.requested and folder.status().get("status") not in _ENDS:
            log.info("trial %d: %s", trial.number, in_words(trial.params))
            code = self._run(trial, folder.path)
        status = folder.status()
        if status.get("status") in _ENDS:
            return self._outcome(folder.path, status)
        if self.stop.requested:
            return None
        if code == 1:  # Hydra or an import failed before there was a run folder: so would all other trials
            self.trials.give_back(trial)
            raise ValueError(
                f"trial {trial.number} could not begin: {_last_line(folder.path)} (see {folder.path / LOG})"
            )
        killed = f"its process was killed by signal {-code}" if code < 0 else f"its process ended with exit code {code}"
        if self.trials.note_kill(trial):
            log.warning("trial %d: %s; it is run again from its last checkpoint", trial.number, killed)
            return None
        return Outcome("failed", {}, f"{killed}, again and again (out of memory?)", 0.0)

    def _wait_for_leftover(self, trial: optuna.Trial, folder: RunFolder) -> None:
        """Wait until the training of a sweep that was killed has saved and ended."""
        begin = time.monotonic()
        while (pid := folder.running_process()) is not None and not self.stop.requested:
            if time.monotonic() - begin > _SECONDS_FOR_LEFTOVER:
                raise ValueError(
                    f"{folder.path} is still trained by process {pid}, whose sweep is gone; stop that process first"
                )
            self._give_sign(trial)
            time.sleep(0.2)

    def _run(self, trial: optuna.Trial, folder: Path) -> int:
        """Run the training; return its exit code."""
        ended, words = self.results.ended(), self.results.words.start(trial.params, folder)
        run_id = f"{self.trials.sweep.name}-{self.trials.id}-{trial.number}"
        with Training(words, folder, run_id=run_id, gpu=self.gpu) as training:
            while training.exit_code is None:
                if (message := training.hear()) is not None:
                    self.bar.update(ended, f"trial {trial.number}: step {message.step} of {message.steps}")
                    if message.losses:
                        training.answer(prune=self._should_prune(trial, message, folder))
                self._give_sign(trial)
                if self.abandoned:
                    training.kill()
                elif self.stop.requested:
                    training.stop()
        return training.exit_code or 0

    def _should_prune(self, trial: optuna.Trial, message: Message, folder: Path) -> bool:
        first, *others = self.objectives.values()
        if others or message.step == 0 or first.metric not in message.losses:
            return False
        try:
            value = first.value(message.losses[first.metric], folder)
        except ValueError:  # which is said when the trial ends
            return False
        return self.trials.report(trial, message.step, value)

    def _give_sign(self, trial: optuna.Trial) -> None:
        if time.monotonic() - self._signed > SECONDS_BETWEEN_SIGNS:
            self._signed = time.monotonic()
            self.trials.give_sign(trial)

    def _outcome(self, folder: Path, status: Mapping[str, Any]) -> Outcome:
        values, state, error = {}, str(status["status"]), str(status.get("error") or "")
        try:
            if state == "finished":
                values = {name: objective.reached(folder) for name, objective in self.objectives.items()}
        except NotLoggedError as wrong:
            raise ValueError(f"objectives: {wrong} of {folder}") from wrong
        except (OSError, ValueError) as wrong:
            state, error = "failed", str(wrong)
        return Outcome(state, values, error, float(status.get("seconds", 0.0)))


def _last_line(folder: Path) -> str:
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "it did not start"
    written = [line.strip() for line in lines if line.strip() and "HYDRA_FULL_ERROR" not in line]
    return written[-1].removeprefix("error: ")[:500] if written else "it did not start"
