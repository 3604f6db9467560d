"""The page that a sweep ends in: all trials with their figures and pictures, and plots, in one HTML file."""

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from impasto.files import whole_file
from impasto.report.rendering import render_page
from impasto.report.sweep_plots import write_sweep_plots
from impasto.report.sweep_sheet import newest_samples, small, write_sweep_sheet
from impasto.report.texts import clean, number

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
    commands: Mapping[str, str],
    about: str,
) -> None:
    """Write `sweep.html` about a sweep, and beside it its plots and its contact sheet `sheet.png`.

    Args:
        folder: of the sweep, with a run folder for each trial, by its number.
        study: its trials as they stand, with its name and those of its objectives.
        best: numbers of the best trials, the one that is recommended first.
        states: by trial, "finished", "pruned", "failed", "running" or "interrupted".
        total: how many trials it shall have.
        commands: command lines by what they do.
        about: space, objectives, sampler, machine: YAML.

    Raises:
        OSError: a file cannot be written.
    """
    trials, names = _ranked(study), study.metric_names or []
    folders = {trial.number: folder / str(trial.number) for trial in trials}
    lines = {
        trial.number: [
            f"trial {trial.number}{' (best)' if trial.number in best else ''}, {states[trial.number]}",
            *(f"{name}: {number(value)}" for name, value in zip(names, trial.values or [], strict=False)),
            *(f"{name} = {_say(value)}" for name, value in trial.params.items()),
        ]
        for trial in trials
    }
    write_sweep_sheet([(lines[trial], folders[trial]) for trial in folders], folder / "sheet.png")
    plots = write_sweep_plots(study, folder)
    samples = {trial: found for trial, run in folders.items() if (found := newest_samples(run))}  # the best first
    photographs = sorted({name for found in samples.values() for name in found})[:_MOST_PHOTOGRAPHS]
    shown = list(samples)[: _MOST_PICTURES // max(1, len(photographs))]
    counts = ", ".join(f"{count} {state}" for state, count in Counter(states.values()).most_common())
    html = render_page(
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
        commands=commands,
        about=about,
        photographs=photographs,
        originals={name: _picture(folders[shown[0]] / "samples/photographs" / name) for name in photographs},
        pictures={t: {n: _picture(samples[t][n]) for n in photographs if n in samples[t]} for t in shown},
        left_out=len(samples) - len(shown),
        plots={title: _uri("png", file.read_bytes()) for title, file in plots.items()},
        say=_say,
    )
    with whole_file(folder / "sweep.html") as temporary:
        temporary.write_bytes(html)


def _ranked(study: Study) -> list[FrozenTrial]:
    """By the first objective, the best first; those without a value last."""
    sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1
    trials = study.get_trials(deepcopy=False)
    return sorted(trials, key=lambda t: (not t.values, sign * t.values[0] if t.values else 0, t.number))


def _say(value: Any) -> str:  # noqa: ANN401 (a choice of any kind)
    return number(value) if isinstance(value, float) else clean(value)


def _picture(path: Path) -> str:
    data = io.BytesIO()
    small(path, _SIDE).save(data, "WEBP", quality=80)
    return _uri("webp", data.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
