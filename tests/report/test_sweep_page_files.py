"""The contact sheet and the plots of a sweep as PNG: a row a trial, the best first; only the plots that make sense."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_runs import HOSTILE, make_image, make_samples
from PIL import Image

from impasto.report.sweep_plots import write_sweep_plots
from impasto.report.sweep_sheet import write_sweep_sheet
from impasto.report.sweep_shown import SweepShown, TrialShown

CELL, STEP = 64, 68


def _sweep(folder: Path, count: int, *, objectives: int = 1) -> SweepShown:
    names = ["val/style", "val/content"][:objectives]
    trials = [
        TrialShown(
            n,
            "finished",
            {"lr": 10.0**-n},
            {names[-1]: 2.0, names[0]: 1.0 + (n * 7) % 5},
            1.0,
            "",
            folder / str(n),
            False,
        )
        for n in range(count)
    ]
    return SweepShown("s", dict.fromkeys(names, "minimize"), trials, count, {names[0]: {"lr": 0.9}}, {}, 0, "", "", {})


def _cell(path: Path, row: int, column: int) -> np.ndarray:
    with Image.open(path) as image:
        box = (column * STEP, row * STEP, column * STEP + CELL, row * STEP + CELL)
        return np.asarray(image.convert("RGB").crop(box))


def test_the_sheet_has_the_best_trial_first_below_the_photographs(tmp_path: Path) -> None:
    for number in range(4):
        make_samples(tmp_path / str(number), photographs=3, steps=2, seed=number)
    path = tmp_path / "sheet.png"
    assert write_sweep_sheet(_sweep(tmp_path, 5), path, photographs=2, cell=CELL)  # values 1, 3, 5, 2, 4 for 0 to 4
    with Image.open(path) as image:
        assert image.size == (3 * STEP - 4, 5 * STEP - 4)
    for row, folder in enumerate(("0/samples/photographs", *(f"{n}/samples/step_000200" for n in (0, 3, 1, 2)))):
        for column in (0, 1):
            with Image.open(tmp_path / folder / f"photo_{column}.png") as image:
                assert (_cell(path, row, column + 1)[32, 32] == np.asarray(image)[5, 5]).all()
        assert _cell(path, row, 0).min() < 120 and _cell(path, row, 0).max() == 255  # words on white


def test_the_sheet_has_at_most_40_trials_and_bears_broken_pictures(tmp_path: Path) -> None:
    for number in range(45):
        make_image(tmp_path / str(number) / "samples/step_000001/a.png", seed=number)
    (tmp_path / "0/samples/step_000001/a.png").write_text("")
    write_sweep_sheet(_sweep(tmp_path, 45), tmp_path / "sheet.png", photographs=4, cell=CELL)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (2 * STEP - 4, 41 * STEP - 4)
    assert (_cell(tmp_path / "sheet.png", 1, 1) == 237).all()


def test_without_pictures_there_is_no_sheet_and_bad_sizes_are_refused(tmp_path: Path) -> None:
    assert not write_sweep_sheet(_sweep(tmp_path, 2), tmp_path / "sheet.png", photographs=4, cell=CELL)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="photographs of at least 1 and cells of at least 64, got 0 and 64"):
        write_sweep_sheet(_sweep(tmp_path, 2), tmp_path / "sheet.png", photographs=0, cell=CELL)


@pytest.mark.parametrize(
    ("count", "objectives", "files"),
    [
        (0, 1, []),
        (3, 1, ["history.png", "importance.png"]),
        (3, 2, ["history.png", "importance.png", "pareto.png"]),
    ],
)
def test_only_plots_that_make_sense_are_written(tmp_path: Path, count: int, objectives: int, files: list[str]) -> None:
    write_sweep_plots(_sweep(tmp_path / "s", count, objectives=objectives), tmp_path)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == files  # shares of no trials say nothing
    for name in found:
        with Image.open(tmp_path / name) as image:
            assert image.width > 400 and image.height > 300


def test_any_name_can_be_drawn(tmp_path: Path) -> None:
    names = dict.fromkeys([*HOSTILE[:2], "$\\frac{", "a" * 80], "maximize")
    values = dict.fromkeys(names, 1.0)
    sweep = _sweep(tmp_path, 2)
    trials = [replace(trial, values=values, parameters=dict.fromkeys(names, 1.0)) for trial in sweep.trials]
    shares = {name: dict.fromkeys(names, 0.5) for name in names}
    make_image(tmp_path / "0/samples/step_000001/a.png")
    odd = replace(sweep, name=HOSTILE[-1], objectives=names, trials=trials, importances=shares)
    write_sweep_plots(odd, tmp_path / "plots")
    assert len(list((tmp_path / "plots").iterdir())) == 3
    assert write_sweep_sheet(odd, tmp_path / "sheet.png", photographs=1, cell=CELL)
