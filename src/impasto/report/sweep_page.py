"""The page that a sweep ends in: all trials with their figures and pictures, and plots, in one HTML file."""

import base64
import re
import textwrap
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
from optuna.trial import FrozenTrial, TrialState
from PIL import Image, ImageDraw, ImageFont, ImageOps

from impasto.files import whole_file
from impasto.report.rendering import render_page
from impasto.report.texts import clean, number
from impasto.report.thumbnails import data_uri

_SIDE = 360  # pixels of a picture
_MOST_PICTURES = 600  # some 15 MB
_MOST_PHOTOGRAPHS = 12
_MOST_ROWS, _MOST_COLUMNS = 40, 5  # of the contact sheet
_CELL, _GAP = 160, 4  # pixels
_LETTERS = 26  # of a line beside the pictures


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
    """
    trials, names = _ranked(study), study.metric_names or []
    folders = {trial.number: folder / str(trial.number) for trial in trials}
    samples = {trial: found for trial, run in folders.items() if (found := _newest_samples(run))}  # the best first
    photographs = sorted({name for found in samples.values() for name in found})[:_MOST_PHOTOGRAPHS]
    shown = list(samples)[: _MOST_PICTURES // max(1, len(photographs))]
    originals = folder / str(next(iter(samples), "")) / "samples" / "photographs"
    if samples:
        texts = {trial.number: _lines(trial, names, best, states) for trial in trials}
        _write_sheet(folder / "sheet.png", {trial: texts[trial] for trial in samples}, samples, originals)
    counts = ", ".join(f"{count} {state}" for state, count in Counter(states.values()).most_common())
    plots = {title: file.read_bytes() for title, file in _write_plots(study, folder).items()}
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
        originals={name: data_uri(_small(originals / name, _SIDE)) for name in photographs},
        pictures={
            t: {n: data_uri(_small(samples[t][n], _SIDE)) for n in photographs if n in samples[t]} for t in shown
        },
        left_out=len(samples) - len(shown),
        plots={title: f"data:image/png;base64,{base64.b64encode(data).decode()}" for title, data in plots.items()},
        say=_say,
    )
    with whole_file(folder / "sweep.html") as temporary:
        temporary.write_bytes(html)


def _ranked(study: Study) -> list[FrozenTrial]:
    """By the first objective, the best first; those without a value last."""
    sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1
    trials = study.get_trials(deepcopy=False)
    return sorted(trials, key=lambda t: (not t.values, sign * t.values[0] if t.values else 0, t.number))


def _newest_samples(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.glob("samples/step_*/*.png"))}


def _lines(trial: FrozenTrial, names: Sequence[str], best: Sequence[int], states: Mapping[int, str]) -> list[str]:
    """What stands beside a trial's pictures."""
    return [
        f"trial {trial.number}{' (best)' if trial.number in best else ''}, {states[trial.number]}",
        *(f"{name}: {number(value)}" for name, value in zip(names, trial.values or [], strict=False)),
        *(f"{name} = {_say(value)}" for name, value in trial.params.items()),
    ]


def _write_sheet(
    path: Path, texts: Mapping[int, Sequence[str]], samples: Mapping[int, Mapping[str, Path]], originals: Path
) -> None:
    """Write a PNG of the first trials, a row each below their photographs, figures beside pictures."""
    trials = list(texts)[:_MOST_ROWS]
    names = sorted({name for trial in trials for name in samples[trial]})[:_MOST_COLUMNS]
    first: tuple[Sequence[str], Mapping[str, Path]] = (["photographs"], {name: originals / name for name in names})
    rows = [first, *((texts[trial], samples[trial]) for trial in trials)]
    step = _CELL + _GAP
    canvas = Image.new("RGB", (step * (len(names) + 1) - _GAP, step * len(rows) - _GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=11)
    for y, (lines, pictures) in enumerate(rows):
        wrapped = [part for line in lines for part in textwrap.wrap(line, _LETTERS)]
        draw.multiline_text((6, y * step + 6), "\n".join(wrapped[:11]), fill="#1e2226", font=font, spacing=2)
        for x, name in enumerate(names, start=1):
            canvas.paste(_small(pictures.get(name), _CELL), (x * step, y * step))
    with whole_file(path) as temporary:
        canvas.save(temporary)


def _small(path: Path | None, side: int) -> Image.Image:
    """Read a picture, fitted into a square of so many pixels; grey where it is missing or cannot be read."""
    try:
        if path is not None:
            with Image.open(path) as image:
                return ImageOps.contain(image.convert("RGB"), (side, side))
    except (OSError, ValueError, SyntaxError):
        pass
    return Image.new("RGB", (side, side), "#ededed")


def _say(value: Any) -> str:  # noqa: ANN401 (a choice of any kind)
    return number(value) if isinstance(value, float) else clean(value)


def _write_plots(study: Study, folder: Path) -> dict[str, Path]:
    """Write the plots that make sense for a sweep into a folder; return the files by what they show."""
    mpl.use("Agg")
    written: dict[str, Path] = {}
    for title, name, plot in _plots(study):
        with warnings.catch_warnings(), plt.rc_context():  # Optuna sets a style
            warnings.simplefilter("ignore")  # Optuna's drawing is experimental; letters that a font lacks
            try:
                plot(study)
                with whole_file(folder / f"{name}.png") as temporary:
                    plt.gcf().savefig(temporary, dpi=100, bbox_inches="tight", metadata={"Software": None})
            except (ValueError, RuntimeError):  # all trials are alike; a name that is half a formula
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
        yield f"Pareto front: {', '.join(names)}", "pareto", visualization.plot_pareto_front
    for index, name in enumerate(names if finished else []):
        end = f"_{re.sub(r'[^A-Za-z0-9]+', '_', name)}" if len(names) > 1 else ""
        target = partial(_value, index=index) if len(names) > 1 else None
        for title, file, plot in (
            ("History", "history", visualization.plot_optimization_history),
            ("Importance", "importance", visualization.plot_param_importances),
            ("Each parameter", "slices", visualization.plot_slice),
            ("All parameters", "parallel", visualization.plot_parallel_coordinate),
        ):
            yield f"{title}: {name}", f"{file}{end}", partial(plot, target=target, target_name=name)
    if any(trial.intermediate_values for trial in trials):
        yield f"Learning curves: {names[0]}", "curves", visualization.plot_intermediate_values


def _value(trial: FrozenTrial, *, index: int) -> float:
    return float(trial.values[index])
