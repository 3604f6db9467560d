"""What a sweep leaves: trials.csv and trials.md, an experiment that reruns the best trial, sweep.html and its plots."""

import logging
import shlex
import shutil
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from optuna.trial import FrozenTrial

from impasto.commands.sweep_definition import Definition, word_of
from impasto.files import write_text
from impasto.hardware import describe_machine
from impasto.launch.words import parse
from impasto.report.sweep_page import write_sweep_page
from impasto.report.sweep_plots import write_sweep_plots
from impasto.report.sweep_sheet import write_sweep_sheet
from impasto.report.sweep_shown import SweepShown, TrialShown
from impasto.sweep.best import best_of, best_trials, importances
from impasto.sweep.storage import shown
from impasto.sweep.trials import Trials, state_of
from impasto.tables import digits, markdown, write_csv

log = logging.getLogger(__name__)

_RERUN = "rerun"  # the --config-dir in which experiment=best is the best trial
_SHEET = {"photographs": 4, "cell": 160}


class Results:
    """Writes what a sweep has reached so far.

    Args:
        cfg: of the sweep.
        definition: of the sweep.
        trials: of the sweep.
        folder: of the sweep.
    """

    def __init__(self, cfg: DictConfig, definition: Definition, trials: Trials, folder: Path) -> None:
        self.cfg, self.definition, self.trials, self.folder = cfg, definition, trials, folder

    @property
    def go_on(self) -> str:
        """The command line that goes on with the sweep."""
        flags = ["--config-dir", self.definition.conf[1]] if len(self.definition.conf) > 1 else []
        return shlex.join(["impasto", "sweep", *flags, *map(shown, HydraConfig.get().overrides.task)])

    @property
    def rerun(self) -> str:
        """The command line that reruns the best trial."""
        return shlex.join(["impasto", "train", "--config-dir", str(self.folder / _RERUN), "experiment=best"])

    def write_tables(self) -> None:
        """Write `trials.csv`, `trials.md` and `best.yaml`."""
        with self.trials.lock:
            trials, front = self.trials.all(), best_trials(self.trials.study)
            rows = [self._row(trial, best=trial.number in {t.number for t in front}) for trial in trials]
            write_csv(self.folder / "trials.csv", rows)
            columns = list(dict.fromkeys(key for row in rows for key in row))
            cells = [[_cell(row.get(column)) for column in columns] for row in rows]
            write_text(self.folder / "trials.md", markdown(columns, cells))
            if (best := best_of(front, self.trials.study.directions)) is not None:
                self._write_best(self._experiment(best, len(front)))

    def _write_best(self, text: str) -> None:
        """Write the experiment, beside the user's own configuration: Hydra takes one --config-dir."""
        for own in self.definition.conf[1:]:
            if not (self.folder / _RERUN).is_relative_to(own):
                shutil.copytree(own, self.folder / _RERUN, dirs_exist_ok=True)
        write_text(self.folder / _RERUN / "experiment" / "best.yaml", text)
        write_text(self.folder / "best.yaml", text)

    def write_all(self) -> None:
        """Write the tables, `sweep.html`, `sheet.png` and the plots."""
        self.write_tables()
        with self.trials.lock:
            told = self._shown()
            write_sweep_page(told, self.folder / "sweep.html")
            write_sweep_plots(told, self.folder)
            write_sweep_sheet(told, self.folder / "sheet.png", **_SHEET)

    def tell(self) -> None:
        """Say how the sweep ended.

        Raises:
            ValueError: not one trial finished.
        """
        states = [state_of(trial) for trial in self.trials.all()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
        log.info("%d trials: %s", len(states), counts)
        front = best_trials(self.trials.study)
        best = best_of(front, self.trials.study.directions)
        if best is None:
            raise ValueError(f"no trial finished; {self.folder / 'trials.csv'} says why")
        what = "best trial" if len(front) == 1 else f"{len(front)} trials on the Pareto front, the most balanced is"
        log.info("%s %d: %s", what, best.number, self.definition.parameters(best.params))
        log.info("run it again: %s", self.rerun)
        log.info("look at %s", self.folder / "sweep.html")

    def _row(self, trial: FrozenTrial, *, best: bool) -> dict[str, Any]:
        state = state_of(trial)
        values = dict(zip([o.name for o in self.definition.objectives], trial.values or [], strict=False))
        return {
            "trial": trial.number,
            "state": state,
            **{objective.name: values.get(objective.name) for objective in self.definition.objectives},
            **trial.params,
            "best": "yes" if best else "",
            "seconds": trial.user_attrs.get("seconds"),
            "error": trial.user_attrs.get("error", ""),
        }

    def _experiment(self, best: FrozenTrial, front: int) -> str:
        """An experiment with the words of the trial, groups among its defaults, values below."""
        words = [*self.definition.train, *(word_of(key, value) for key, value in best.params.items())]
        groups = {p.name for folder in self.definition.conf for p in Path(folder).iterdir() if p.is_dir()}
        defaults: dict[str, Any] = {"experiment": _first_experiment(self.definition.conf[0])}
        values: dict[str, Any] = {}
        for override in parse([*(w for w in self.definition.shared if w.startswith("seed=")), *words]):
            key = override.key_or_group
            if key in groups:
                defaults[key] = override.value()
            else:
                _put(values, key.split("."), override.value())
        base = defaults.pop("experiment", None)
        listed: list[Any] = [base] if base else []
        listed += [{f"override /{group}": choice} for group, choice in defaults.items()]
        head = "# @package _global_\n"
        what = "the best" if front == 1 else f"the most balanced of {front} on the Pareto front"
        head += f"# train: Trial {best.number} of the sweep {self.definition.name}, {what}.\n"
        body: str = yaml.safe_dump({"defaults": [*listed, "_self_"], **values}, sort_keys=False, allow_unicode=True)
        return head + body

    def _shown(self) -> SweepShown:
        study, objectives = self.trials.study, self.definition.objectives
        front = best_trials(study)
        best = best_of(front, study.directions)
        numbers = {trial.number for trial in front}
        trials = self.trials.all()
        return SweepShown(
            name=self.definition.name,
            objectives={objective.name: objective.direction for objective in objectives},
            trials=[self._trial(trial, best=trial.number in numbers) for trial in trials],
            wanted=self.trials.total,
            importances=importances(study, [objective.name for objective in objectives]),
            intermediate={trial.number: self._curve(trial.number) for trial in trials},
            best=None if best is None else best.number,
            rerun="" if best is None else self.rerun,
            go_on="" if len(trials) == self.trials.total and all(t.state.is_finished() for t in trials) else self.go_on,
            facts=self._facts(),
        )

    def _trial(self, trial: FrozenTrial, *, best: bool) -> TrialShown:
        names = [objective.name for objective in self.definition.objectives]
        values = trial.values if state_of(trial) == "finished" else None
        return TrialShown(
            number=trial.number,
            state=state_of(trial),
            parameters={key: str(v) if isinstance(v, bool | None) else v for key, v in trial.params.items()},
            values=dict(zip(names, values, strict=True)) if values else None,
            seconds=trial.user_attrs.get("seconds"),
            error=str(trial.user_attrs.get("error", "")),
            folder=self.folder / str(trial.number),
            best=best,
        )

    def _curve(self, number: int) -> list[tuple[int, float]]:
        try:
            return self.definition.objectives[0].curve(self.folder / str(number))[1:]  # without the untrained network
        except (OSError, ValueError):
            return []

    def _facts(self) -> dict[str, str]:
        identity, machine = self.definition.identity, describe_machine()
        return {
            "words of every training": shlex.join(self.definition.identity["train"]),
            **{f"space: {key}": _words_of(value) for key, value in identity["space"].items()},
            **{f"objective: {key}": _words_of(value) for key, value in identity["objectives"].items()},
            "sampler": _words_of(identity["sampler"]),
            "pruner": _words_of(identity["pruner"]),
            "seed": str(identity["seed"]),
            "storage": shown(self.trials.storage_name),
            "machine": f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}",
        }


def _first_experiment(conf: str) -> Any:  # noqa: ANN401 (any YAML)
    """The experiment of a training whose words name none."""
    defaults = yaml.safe_load((Path(conf) / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    return next((choice["experiment"] for choice in defaults if "experiment" in choice), None)


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:  # noqa: ANN401 (any YAML)
    for part in path[:-1]:
        inner = values.setdefault(part.lstrip("+"), {})
        values = inner if isinstance(inner, dict) else {}
    values[path[-1]] = value


def _cell(value: Any) -> str:  # noqa: ANN401 (of a table)
    if isinstance(value, float):
        return digits(value)
    return "" if value is None else str(value)


def _words_of(told: Any) -> str:  # noqa: ANN401 (any YAML)
    text: str = yaml.safe_dump(told, default_flow_style=True, width=1000)
    return text.strip().removesuffix("...").strip()
