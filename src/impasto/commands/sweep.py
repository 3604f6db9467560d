"""impasto sweep: search hyperparameters of a training; the same command again goes on with the same sweep."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from impasto.commands.sweep_definition import SweepSettings, Words, read_definition
from impasto.commands.sweep_results import in_words, log_end, write_page, write_tables
from impasto.commands.sweep_trial import LOG, end_group, start_training
from impasto.group import find_group, usable_cores
from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder
from impasto.sweep.objectives import NotLoggedError
from impasto.sweep.trials import SECONDS_BETWEEN_SIGNS, Outcome, Sweep, storage_errors
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted, StopSignal, recorded

log = logging.getLogger(__name__)

_ENDS = ("finished", "pruned", "failed")
_MOST_KILLS = 3  # of a trial's process, the worker surviving: then it is to blame itself


def run(cfg: DictConfig) -> None:
    """Run trials until the sweep has as many as configured; write what they reached."""
    if (group := find_group()).size > 1:
        raise ValueError(
            f"{group.starter} started {group.size} processes of one sweep; expected one, or an array of jobs"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given = SweepSettings.read(cfg)
    if given.workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores(processes=given.workers)))
    with storage_errors(given.storage_name):
        sweep, words = read_definition(cfg, given)
        log.info("sweep folder: %s", sweep.folder)
        with record(sweep.folder, cfg), StopSignal() as stop:
            with Bar(total=sweep.total, done=sweep.ended()) as bar:
                gpus = [None] if given.workers == 1 else range(given.workers)
                work([Worker(sweep, words, stop, bar, gpu=gpu) for gpu in gpus], stop)
            write_page(sweep, words)
            if stop.requested:
                raise Interrupted("stopped; the same command goes on")
        log_end(sweep, words)


@contextmanager
def record(folder: Path, cfg: DictConfig) -> Iterator[None]:
    """Keep the sweep's own record; where several commands work on one sweep, the first of them does."""
    config = without_secrets(OmegaConf.to_yaml(cfg, resolve=True))
    with suppress(Timeout), FileLock(folder / ".record.lock", timeout=0), recorded(folder, config=config):
        yield
        return
    yield


def work(workers: "Sequence[Worker]", stop: StopSignal) -> None:
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


class Worker:
    """Runs one trial after the other, on a GPU of its own where there are several."""

    def __init__(self, sweep: Sweep, words: Words, stop: StopSignal, bar: Bar, *, gpu: int | None) -> None:
        self.sweep, self.words, self.stop, self.bar, self.gpu = sweep, words, stop, bar, gpu
        self.abandoned = False  # once set, the training is killed
        self._signed = 0.0

    def run(self) -> None:
        """Take trials until none is left or the sweep is stopped."""
        while not self.stop.requested and (trial := self.sweep.claim()) is not None:
            if (outcome := self._outcome(trial)) is None:
                self.sweep.give_back(trial)
                continue
            self.sweep.end(trial, outcome)
            ended = outcome.error or in_words(outcome.values)
            log.info("trial %d %s%s", trial.number, outcome.state, f": {ended}" if ended else "")
            write_tables(self.sweep)
            self.bar.update(self.sweep.ended(), "")

    def _outcome(self, trial: optuna.Trial) -> Outcome | None:
        """Train a trial; None where it was stopped, or its process killed, so that it is to be taken again."""
        folder, code = RunFolder(self.sweep.folder / str(trial.number)), 0
        while folder.running_process() is not None and not self.stop.requested:  # of a sweep that was killed: it saves
            self._give_sign(trial)
            time.sleep(0.2)
        if not self.stop.requested and folder.status().get("status") not in _ENDS:
            log.info("trial %d: %s", trial.number, in_words(trial.params))
            code = self._train(trial, folder.path)
        if folder.status().get("status") in _ENDS:
            return self._read_outcome(folder)
        if self.stop.requested:
            return None
        if code == 1:  # Hydra or an import failed before there was a run folder: so would all other trials
            self.sweep.give_back(trial)
            raise ValueError(f"trial {trial.number} could not begin: {_last_line(folder.path / LOG)}")
        killed = f"its process was killed by signal {-code}" if code < 0 else f"its process ended with exit code {code}"
        kills = trial.user_attrs.get("kills", 0) + 1
        trial.set_user_attr("kills", kills)
        if kills == _MOST_KILLS:
            return Outcome("failed", {}, f"{killed}, again and again (out of memory?)", 0.0)
        log.warning("trial %d: %s; it is run again from its last checkpoint", trial.number, killed)
        return None

    def _train(self, trial: optuna.Trial, folder: Path) -> int:
        """Run the training; return its exit code. Where anything is raised meanwhile, it saves and ends."""
        words, ended, asked = self.words.start(trial.params, folder), self.sweep.ended(), False
        run_id = f"{self.sweep.name}-{self.sweep.id}-{trial.number}"
        process, pipe = start_training(words, folder, run_id=run_id, gpu=self.gpu)
        try:
            while process.exitcode is None:
                if wait([pipe, process.sentinel], timeout=0.5) == [pipe]:
                    try:
                        step, losses = pipe.recv()  # of a validation, which waits for the answer
                        self.bar.update(ended, f"trial {trial.number}: step {step}")
                        pipe.send(self._should_prune(trial, step, losses, folder))
                    except (EOFError, BrokenPipeError, ConnectionResetError):  # it is about to end, or was killed
                        process.join(0.1)
                self._give_sign(trial)
                if self.abandoned:
                    process.kill()
                elif self.stop.requested and not asked:  # the first rank, which agrees on the step with the others
                    asked = True
                    process.terminate()
        except BaseException:
            process.terminate()
            raise
        finally:
            pipe.close()  # whoever still waits for an answer goes on without one
            process.join()
            end_group(process)  # ranks that its end has left behind
        return process.exitcode

    def _should_prune(self, trial: optuna.Trial, step: int, losses: dict[str, float], folder: Path) -> bool:
        first, *others = self.sweep.objectives.values()
        if others or step == 0 or first.metric not in losses:
            return False
        try:
            value = first.value(losses[first.metric], folder)
        except ValueError:  # which is said when the trial ends
            return False
        return self.sweep.report(trial, step, value)

    def _give_sign(self, trial: optuna.Trial) -> None:
        if time.monotonic() - self._signed > SECONDS_BETWEEN_SIGNS:
            self._signed = time.monotonic()
            self.sweep.give_sign(trial)

    def _read_outcome(self, folder: RunFolder) -> Outcome:
        status = folder.status()
        values, state, error = {}, str(status["status"]), str(status.get("error") or "")
        try:
            if state == "finished":
                values = {name: objective.reached(folder.path) for name, objective in self.sweep.objectives.items()}
        except NotLoggedError as wrong:
            raise ValueError(f"objectives: {wrong} of {folder.path}") from wrong
        except (OSError, ValueError) as wrong:
            state, error = "failed", str(wrong)
        return Outcome(state, values, error, float(status.get("seconds", 0.0)))


def _last_line(log_file: Path) -> str:
    text = log_file.read_text(encoding="utf-8", errors="replace") if log_file.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
    return f"{lines[-1].removeprefix('error: ')[:500] if lines else 'it did not start'} (see {log_file})"
