"""The page of a sweep and its files: trials, pictures and plots are in it, and nothing of it becomes markup."""

import re
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from made_runs import HOSTILE, make_image, make_run, make_samples
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.study import Study
from optuna.trial import TrialState, create_trial
from parsed_page import Parsed
from PIL import Image

from impasto.report import sweep_page as sweep_module
from impasto.report.page import write_report
from impasto.report.record import count_statuses
from impasto.report.sweep_page import write_sweep_page

STATES = ("finished", "finished", "pruned", "failed")


def _study(values: Sequence[Sequence[float] | None], states: Sequence[str], *names: str) -> Study:
    """A study of these values; of words and numbers."""
    study = optuna.create_study(study_name="weights", directions=["minimize"] * len(names))
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(list(names))
    kinds = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    space = {"style": FloatDistribution(1e-6, 1e6, log=True), "network": CategoricalDistribution(HOSTILE)}
    for number, (value, state) in enumerate(zip(values, states, strict=True)):
        trial = create_trial(
            state=kinds[state],
            values=value,
            params={"style": 10.0**-number, "network": HOSTILE[number % 3]},
            distributions=space,
            user_attrs={"seconds": 12.5, **({"error": "OutOfMemoryError: too large"} if state == "failed" else {})},
            intermediate_values={10: 3.0, 20: 2.0} if len(names) == 1 else {},
        )
        study.add_trial(trial)
    return study


def _write(folder: Path, study: Study, states: Sequence[str], *, best: Sequence[int], total: int = 4) -> Parsed:
    write_sweep_page(
        folder,
        study,
        best=best,
        states=dict(enumerate(states)),
        total=total,
        command="impasto train a=b" if best else "",
        about=f"sampler: TPE\nname: {HOSTILE[0]}",
    )
    return _parsed(folder)


def _parsed(folder: Path) -> Parsed:
    page = Parsed((folder / "sweep.html").read_text(encoding="utf-8"))
    assert not page.open
    return page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four trials of one objective, three of them with pictures."""
    folder = tmp_path_factory.mktemp("sweep")
    for number in range(3):
        make_samples(folder / str(number), photographs=2, steps=2, seed=number)
    (folder / "1/samples/step_000200/photo_0.png").write_text("no picture")
    _write(folder, _study([[0.5], [0.25], None, None], STATES, "loss"), STATES, best=[1])
    return folder


@pytest.fixture
def page(folder: Path) -> Parsed:
    return _parsed(folder)


def test_every_trial_has_its_row_with_its_figures_and_last_pictures(page: Parsed) -> None:
    rows = [a["id"] for a in page.all("tr") if str(a.get("id")).startswith("trial-")]
    assert rows == ["trial-1", "trial-0", "trial-2", "trial-3"]  # the best first, those without a value last
    assert page.all("tr", id="trial-1")[0]["class"] == "best"
    assert [a["alt"] for a in page.all("img") if str(a["alt"]).startswith("Trial")] == [
        f"Trial {trial}, photo_{photograph}" for trial in (1, 0, 2) for photograph in (0, 1)
    ]
    for text in ("OutOfMemoryError: too large", "best: trial 1", "impasto train a=b", "sampler: TPE"):
        assert text in page.text, text
    assert "4 of 4 trials: 2 finished, 1 pruned, 1 failed" in page.text


def test_nothing_becomes_markup_and_nothing_is_fetched(page: Parsed) -> None:
    assert HOSTILE[0] in page.text
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            assert attributes.get(name) is None or str(attributes[name]).startswith(("#", "data:image/"))
    policy = str(page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"])
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-\S+'; script-src 'sha256-\S+'; .*", policy
    )


def test_the_plots_of_one_objective_are_drawn_once(folder: Path, page: Parsed) -> None:
    written = sorted(path.stem for path in folder.glob("*.png"))
    assert written == ["curves", "history", "importance", "parallel", "slices"]
    assert len([a for a in page.all("img") if str(a["src"]).startswith("data:image/png")]) == len(written)
    for name in written:
        with Image.open(folder / f"{name}.png") as image:
            assert image.width > 300 and image.height > 200


@pytest.mark.slow
def test_several_objectives_have_a_front_and_plots_each(tmp_path: Path) -> None:
    states = ["finished"] * 4
    study = _study([[n + 1.0, 5.0 - n] for n in range(4)], states, "val/style", "content $")
    page = _write(tmp_path, study, states, best=[1, 0, 2, 3])
    assert "best: trial 1 (of 4 on the Pareto front)" in page.text and page.text.count("most balanced") == 1
    assert {"pareto.png", "history_val_style.png", "history_content_.png"} <= {path.name for path in tmp_path.iterdir()}


def test_a_sweep_without_trials_has_a_page(tmp_path: Path) -> None:
    assert "No trial has begun yet" in _write(tmp_path, _study([], [], "loss"), [], best=[]).text
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.html"]


@pytest.mark.slow
def test_when_little_room_is_left_the_best_trials_keep_their_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = ["finished"] * 4
    for number in range(4):
        make_samples(tmp_path / str(number), photographs=1, steps=1, seed=number)
    monkeypatch.setattr(sweep_module, "_MOST_PICTURES", 3)
    page = _write(tmp_path, _study([[4.0 - n] for n in range(4)], states, "loss"), states, best=[3])
    shown = [str(a["alt"]).split(",")[0] for a in page.all("img") if str(a["alt"]).startswith("Trial")]
    assert shown == ["Trial 3", "Trial 2", "Trial 1"] and "The pictures of 1 trials are left out" in page.text


def test_the_report_reads_a_pruned_trial_and_the_plots_of_a_sweep(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "sweep", command="sweep", config={"n_trials": 2})
    make_run(folder / "0"), make_run(folder / "1", status="pruned")
    for name in ("history", "importance", "pareto"):
        make_image(folder / f"{name}.png", seed=len(name))
    (folder / "trials.md").write_text("| trial | value |\n| --- | --- |\n| 1 | 0.25 |\n")
    runs = write_report([str(tmp_path)], tmp_path / "report.html")
    assert count_statuses(runs) == {"finished": 2, "pruned": 1} and not any(run.problems for run in runs)
    page = Parsed((tmp_path / "report.html").read_text())
    plots = [a["data-path"] for a in page.all("img", **{"class": "plot-image"})]
    assert plots == ["history.png", "importance.png", "pareto.png"]
    assert "trials.md" in page.text and "ended this trial early" in page.text
