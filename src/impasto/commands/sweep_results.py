"""What a sweep leaves: sweep.csv and sweep.md, sweep.html with its plots, the command that trains the best again."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml

from impasto.commands.sweep_definition import Words
from impasto.files import write_text
from impasto.hardware import describe_machine
from impasto.redaction import without_secrets
from impasto.report.sweep_page import write_sweep_page
from impasto.sweep.objectives import best_trials
from impasto.sweep.trials import Sweep, state_of
from impasto.tables import digits, markdown, write_csv

log = logging.getLogger(__name__)


def write_tables(sweep: Sweep) -> None:
    """Write `trials.csv` and `trials.md`."""
    names, folder = list(sweep.objectives), sweep.folder
    with sweep.lock:
        best = {trial.number for trial in best_trials(sweep.study)}
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
