"""The page that a sweep ends in: all trials with their figures and pictures, and plots, in one HTML file."""

import base64
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import optuna.visualization.matplotlib as visualization
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState
from PIL import Image, ImageOps

from impasto.files import whole_file
from impasto.report.page import data_uri
from impasto.report.rendering import clean, number, write_page
from impasto.run_folders import RunFolder

_SIDE = 360  # pixels of a picture
_MOST_PICTURES = 600  # some 15 MB
_MOST_PHOTOGRAPHS = 12


def write_sweep_page(
    folder: Path,
    study: Study,
    *,
    best: Sequence[int],
    states: Mapping[int, str],
    total: int,
    command: str,
    about: str,
) -> None:
    """Write `sweep.html` about a sweep, and its plots beside it.

    Args:
        folder: of the sweep, with a run folder for each trial, by its number.
        study: its trials as they stand, with its name and those of its objectives.
        best: numbers of the best trials, the one that is recommended first.
        states: by trial, "finished", "pruned", "failed", "running" or "interrupted".
        total: how many trials it shall have.
        command: trains the best trial again; "" for none.
        about: space, objectives, sampler, machine: YAML.
    """
    names, sign = study.metric_names or [], -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1
    trials = sorted(  # the best first, those without a value last
        study.get_trials(deepcopy=False),
        key=lambda t: (not t.values, sign * t.values[0] if t.values else 0, t.number),
    )
    runs = {trial.number: RunFolder(folder / str(trial.number)) for trial in trials}
    steps = {trial: next(iter(run.sample_steps().values()), None) for trial, run in runs.items()}
    samples = {trial: {path.stem: path for path in step.glob("*.png")} for trial, step in steps.items() if step}
    photographs = sorted({name for found in samples.values() for name in found})[:_MOST_PHOTOGRAPHS]
    shown = list(samples)[: _MOST_PICTURES // max(1, len(photographs))]
    counts = ", ".join(f"{count} {state}" for state, count in Counter(states.values()).most_common())
    write_page(
        folder / "sweep.html",
        "sweep.html.j2",
        styles=("report.css", "sweep.css"),
        scripts=("table.js", "sweep.js"),
        name=clean(study.study_name),
        state=f"{len(trials)} of {total} trials{': ' if counts else ''}{counts}",
        objectives=names,
        parameters=list(dict.fromkeys(name for trial in trials for name in trial.params)),
        trials=trials,
        states=states,
        best=best,
        command=command,
        about=about,
        photographs=photographs,
        originals={name: _small(runs[shown[0]].sample_photograph(name)) for name in photographs},
        pictures={t: {n: _small(samples[t][n]) for n in photographs if n in samples[t]} for t in shown},
        left_out=len(samples) - len(shown),
        plots=_write_plots(study, folder),
        say=lambda value: number(value) if isinstance(value, float) else clean(value),
    )


def _small(path: Path) -> str:
    """The address of a picture, fitted into a square; grey where it is missing or cannot be read."""
    try:
        with Image.open(path) as image:
            return data_uri(ImageOps.contain(image.convert("RGB"), (_SIDE, _SIDE)))
    except (OSError, ValueError, SyntaxError):
        return data_uri(Image.new("RGB", (_SIDE, _SIDE), "#ededed"))


def _write_plots(study: Study, folder: Path) -> dict[str, str]:
    """Write the plots that make sense for a sweep into a folder; return their addresses by what they show."""
    mpl.use("Agg")
    written: dict[str, str] = {}
    for title, name, plot in _plots(study):
        path = folder / f"{name}.png"
        with warnings.catch_warnings(), plt.rc_context():  # Optuna sets a style
            warnings.simplefilter("ignore")  # Optuna's drawing is experimental; letters that a font lacks
            try:
                plot(study)
                with whole_file(path) as temporary:
                    plt.gcf().savefig(temporary, dpi=100, bbox_inches="tight", metadata={"Software": None})
            except (ValueError, RuntimeError):  # all trials are alike; a name that is half a formula
                continue
            finally:
                plt.close("all")
        written[title] = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return written


def _plots(study: Study) -> Iterator[tuple[str, str, Callable[[Study], object]]]:
    """What is shown, the file's name, and what draws it."""
    trials, names = study.get_trials(deepcopy=False), study.metric_names or []
    finished = any(trial.state == TrialState.COMPLETE for trial in trials)
    if finished and len(names) in (2, 3):
        yield f"Pareto front: {', '.join(names)}", "pareto", visualization.plot_pareto_front
    for index, name in enumerate(names if finished else []):
        several: dict[str, Any] = {"target": lambda trial, i=index: float(trial.values[i])} if len(names) > 1 else {}
        end = f"_{re.sub(r'[^A-Za-z0-9]+', '_', name)}" if several else ""
        for title, file, plot in (
            ("History", "history", visualization.plot_optimization_history),
            ("Importance", "importance", visualization.plot_param_importances),
            ("Each parameter", "slices", visualization.plot_slice),
            ("All parameters", "parallel", visualization.plot_parallel_coordinate),
        ):
            yield f"{title}: {name}", f"{file}{end}", partial(plot, target_name=name, **several)
    if any(trial.intermediate_values for trial in trials):
        yield f"Learning curves: {names[0]}", "curves", visualization.plot_intermediate_values
