"""What a sweep leaves: trials.csv and trials.md, sweep.html with its plots, the command that trains the best again."""

import logging
import shlex
from collections.abc import Mapping
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig

from impasto.commands.sweep_definition import Words
from impasto.files import write_text
from impasto.hardware import describe_machine
from impasto.redaction import without_secrets
from impasto.report.sweep_page import write_sweep_page
from impasto.sweep.objectives import best_trials
from impasto.sweep.trials import Trials, state_of
from impasto.tables import digits, markdown, write_csv

log = logging.getLogger(__name__)


class Results:
    """Writes what a sweep has reached so far: its trials, and the words of its trainings."""

    def __init__(self, trials: Trials, words: Words) -> None:
        self.trials, self.words, self.sweep = trials, words, trials.sweep

    @property
    def go_on(self) -> str:
        """The command line that goes on with the sweep."""
        words = map(without_secrets, HydraConfig.get().overrides.task)
        return shlex.join(["impasto", "sweep", *self.words.flags, *words])

    def ended(self) -> int:
        """Return how many trials have ended."""
        return sum(trial.state.is_finished() for trial in self.trials.all())

    def write_tables(self) -> None:
        """Write `trials.csv` and `trials.md`."""
        names = list(self.sweep.objectives)
        with self.trials.lock:
            study = self.trials.snapshot()
            best = {trial.number for trial in best_trials(study)}
            rows: list[dict[str, Any]] = [
                {
                    "trial": trial.number,
                    "state": state_of(trial),
                    **dict(zip(names, trial.values or [None] * len(names), strict=True)),
                    **trial.params,
                    "best": "yes" if trial.number in best else "",
                    "seconds": trial.user_attrs.get("seconds"),
                    "error": trial.user_attrs.get("error", ""),
                }
                for trial in study.get_trials(deepcopy=False)
            ]
            write_csv(self.sweep.folder / "trials.csv", rows)
            columns = list(dict.fromkeys(key for row in rows for key in row))
            cells = [[_cell(row.get(column)) for column in columns] for row in rows]
            write_text(self.sweep.folder / "trials.md", markdown(columns, cells))

    def write_page(self) -> None:
        """Write the tables, `sweep.html` and the plots."""
        self.write_tables()
        with self.trials.lock:
            study = self.trials.snapshot()
            trials, best, machine = study.get_trials(deepcopy=False), best_trials(study), describe_machine()
            commands = {"Train the best trial again": self.words.again(best[0].params)} if best else {}
            if len(trials) < self.sweep.total or not all(trial.state.is_finished() for trial in trials):
                commands["Go on with the sweep"] = self.go_on
            about = {"storage": without_secrets(self.trials.storage_name), **self.sweep.definition}
            about["machine"] = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
            write_sweep_page(
                self.sweep.folder,
                study,
                best=[trial.number for trial in best],
                states={trial.number: state_of(trial) for trial in trials},
                total=self.sweep.total,
                commands=commands,
                about=yaml.safe_dump(about, sort_keys=False, allow_unicode=True),
            )

    def log_end(self) -> None:
        """Say how the sweep ended."""
        study = self.trials.snapshot()
        states = [state_of(trial) for trial in study.get_trials(deepcopy=False)]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
        log.info("%d trials: %s", len(states), counts)
        if not (best := best_trials(study)):
            raise ValueError(f"no trial finished; {self.sweep.folder / 'trials.csv'} says why")
        what = "best trial" if len(best) == 1 else f"{len(best)} trials on the Pareto front, the most balanced is"
        log.info("%s %d: %s", what, best[0].number, in_words(best[0].params))
        log.info("train it again: %s", self.words.again(best[0].params))
        log.info("the sweep's page: %s", self.sweep.folder / "sweep.html")


def in_words(parameters: Mapping[str, Any]) -> str:
    """Return a trial's parameters as a line."""
    return ", ".join(
        f"{key}={_cell(value) if isinstance(value, float) else value}" for key, value in parameters.items()
    )


def _cell(value: Any) -> str:  # noqa: ANN401 (of a table)
    if isinstance(value, float):
        return digits(value)
    return "" if value is None else str(value)
