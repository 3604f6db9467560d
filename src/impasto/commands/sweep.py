"""impasto sweep: search hyperparameters of a training; the same command again goes on with the same sweep."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import optuna
import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from impasto.commands import log
from impasto.commands.sweep_definition import SweepSettings, Words, read_definition
from impasto.commands.sweep_trial import LOG, end_group, start_training
from impasto.files import write_text
from impasto.group import find_group, usable_cores
from impasto.hardware import describe_machine
from impasto.redaction import without_secrets
from impasto.report.sweep_page import write_sweep_page
from impasto.run_folders import RunFolder
from impasto.sweep.search import NotLoggedError, best_trials
from impasto.sweep.trials import SECONDS_BETWEEN_SIGNS, Outcome, Sweep, state_of, storage_errors
from impasto.tables import digits, markdown, write_csv
from impasto.tracking.bar import Bar
from impasto.tracking.recording import Interrupted, StopSignal, recorded

_ENDS = ("finished", "pruned", "failed")
_MOST_KILLS = 3  # of a trial's process, the worker surviving: then it is to blame itself


def run(cfg: DictConfig) -> None:
    """Run trials until the sweep has as many as configured; write what they reached."""
    if (group := find_group()).size > 1:
        found = f"{group.starter} started {group.size} processes of one sweep"
        raise ValueError(f"{found}; expected one, or an array of jobs")
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
            ended = futures.wait(running, return_when=futures.FIRST_EXCEPTION).done
            stop.requested = stop.requested or any(future.exception() for future in ended)
            futures.wait(running)
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
            console = folder.path / LOG
            text = console.read_text(encoding="utf-8", errors="replace") if console.exists() else ""
            lines = [line.strip() for line in text.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
            reason = lines[-1].removeprefix("error: ")[:500] if lines else "it did not start"
            raise ValueError(f"trial {trial.number} could not begin: {reason} (see {console})")
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
        with suppress(ValueError):  # which is said when the trial ends
            return self.sweep.report(trial, step, first.value(losses[first.metric], folder))
        return False

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


def write_tables(sweep: Sweep) -> None:
    """Write `trials.csv` and `trials.md`."""
    names, folder = list(sweep.objectives), sweep.folder
    with sweep.lock:
        best = {trial.number for trial in best_trials(sweep.study)}
        rows: list[dict[str, Any]] = [
            {"trial": trial.number, "state": state_of(trial)}
            | dict(zip(names, trial.values or [None] * len(names), strict=True))
            | trial.params
            | {"best": "yes" if trial.number in best else "", "seconds": trial.user_attrs.get("seconds")}
            | {"error": trial.user_attrs.get("error", "")}
            for trial in sweep.all()
        ]
        write_csv(folder / "trials.csv", rows)
        columns = list(dict.fromkeys(key for row in rows for key in row))
        cells = [[_cell(row.get(column, "")) for column in columns] for row in rows]
        write_text(folder / "trials.md", markdown(columns, cells))


def write_page(sweep: Sweep, words: Words) -> None:
    """Write the tables, `sweep.html` and the plots."""
    write_tables(sweep)
    with sweep.lock:
        best, machine = best_trials(sweep.study), describe_machine()
        about = {"storage": without_secrets(sweep.storage_name), **sweep.definition}
        about["machine"] = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
        write_sweep_page(
            sweep.folder,
            sweep.study,
            best=[trial.number for trial in best],
            states={trial.number: state_of(trial) for trial in sweep.all()},
            total=sweep.total,
            command=words.again(best[0].params) if best else "",
            about=yaml.safe_dump(about, sort_keys=False, allow_unicode=True),
        )


def log_end(sweep: Sweep, words: Words) -> None:
    """Say how the sweep ended."""
    folder, counts = sweep.folder, Counter(state_of(trial) for trial in sweep.all())
    log.info("%d trials: %s", counts.total(), ", ".join(f"{counts[state]} {state}" for state in sorted(counts)))
    if not (best := best_trials(sweep.study)):
        raise ValueError(f"no trial finished; {folder / 'trials.csv'} says why")
    what = "best trial" if len(best) == 1 else f"{len(best)} trials on the Pareto front, the most balanced is"
    log.info("%s %d: %s", what, best[0].number, in_words(best[0].params))
    log.info("train it again: %s", words.again(best[0].params))
    log.info("the sweep's page: %s", folder / "sweep.html")


def in_words(parameters: Mapping[str, Any]) -> str:
    """Return a trial's parameters as a line."""
    return ", ".join(f"{key}={_cell(value)}" for key, value in parameters.items())


def _cell(value: object) -> str:
    return digits(value) if isinstance(value, float) else "" if value is None else str(value)
