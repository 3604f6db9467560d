"""Plots of a sweep as PNG, drawn by Optuna: history, importance of the parameters, Pareto front, slices, curves."""

import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import optuna.visualization.matplotlib as draw
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from impasto.files import whole_file


def write_sweep_plots(study: Study, folder: Path) -> dict[str, Path]:
    """Write the plots that make sense for a sweep.

    Args:
        study: its trials, with the names of the objectives.
        folder: where they go.

    Returns:
        The files, by what they show.

    Raises:
        OSError: they cannot be written.
    """
    mpl.use("Agg")
    written: dict[str, Path] = {}
    for title, name, plot in _plots(study):
        with warnings.catch_warnings(), plt.rc_context():  # Optuna sets a style
            warnings.simplefilter("ignore")  # Optuna's drawing is experimental; letters that a font lacks
            try:
                plot(study)
                with whole_file(folder / f"{name}.png") as temporary:
                    plt.gcf().savefig(temporary, dpi=100, bbox_inches="tight", metadata={"Software": None})
            except (
                ValueError,
                RuntimeError,
            ):  # the importance where all trials are alike; a name that is half a formula
                continue
            finally:
                plt.close("all")
        written[title] = folder / f"{name}.png"
    return written


def _plots(study: Study) -> Iterator[tuple[str, str, Callable[[Study], object]]]:
    """What is shown, the file's name, and what draws it."""
    trials, names = study.get_trials(deepcopy=False), study.metric_names or []
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if finished and len(names) in (2, 3):
        yield f"Pareto front: {', '.join(names)}", "pareto", draw.plot_pareto_front
    for index, name in enumerate(names if finished else []):
        end = f"_{re.sub(r'[^A-Za-z0-9]+', '_', name)}" if len(names) > 1 else ""
        target = partial(_value, index=index) if len(names) > 1 else None
        for title, file, plot in (
            ("History", "history", draw.plot_optimization_history),
            ("Importance", "importance", draw.plot_param_importances),
            ("Each parameter", "slices", draw.plot_slice),
            ("All parameters", "parallel", draw.plot_parallel_coordinate),
        ):
            yield f"{title}: {name}", f"{file}{end}", partial(plot, target=target, target_name=name)
    if any(trial.intermediate_values for trial in trials):
        yield f"Learning curves: {names[0]}", "curves", draw.plot_intermediate_values


def _value(trial: FrozenTrial, *, index: int) -> float:
    return float(trial.values[index])
