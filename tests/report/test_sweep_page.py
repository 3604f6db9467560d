"""The page of a sweep: every trial and its pictures are in it, nothing of it becomes markup, and it is bounded."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_runs import HOSTILE, make_image, make_run, make_samples

from impasto.report import sweep_page as sweep_module
from impasto.report import write_report
from impasto.report.sweep_axes import make_axis
from impasto.report.sweep_page import tell_best, tell_state, write_sweep_page
from impasto.report.sweep_shown import SweepShown, TrialShown, best_so_far, front_of, ranked, short_names

VOID = {"meta", "input", "img"}


class Parsed(HTMLParser):
    """A page's elements, and whether they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Refuse what is closed out of order."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Remember it."""
        self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Attributes of the elements that have these."""
        return [a for t, a in self.elements if t == tag and all(a.get(k.rstrip("_")) == v for k, v in wanted.items())]


def _trial(folder: Path, number: int, values: Sequence[float] | None, state: str = "finished") -> TrialShown:
    named = None if values is None else dict(zip(("val/style", "val/content"), values, strict=False))
    error = "OutOfMemoryError: too large" if state == "failed" else ""
    parameters = {"loss.weights.style": 10.0**number, "network": f"n{number % 2}"}
    return TrialShown(number, state, parameters, named, 12.5, error, folder / str(number), best=number == 1)


def _sweep(trials: Sequence[TrialShown], *objectives: str) -> SweepShown:
    names = objectives or ("val/style",)
    return SweepShown(
        name="weights",
        objectives=dict.fromkeys(names, "minimize"),
        trials=trials,
        wanted=max(4, len(trials)),
        importances={name: {"loss.weights.style": 0.75, "network": 0.25} for name in names},
        intermediate={trial.number: [(10, 3.0), (20, math.nan)] for trial in trials},
        best=1,
        rerun="impasto train experiment=best",
        go_on="impasto sweep n_trials=8",
        facts={"sampler": "TPE"},
    )


def _four(folder: Path) -> SweepShown:
    states = ("finished", "finished", "pruned", "failed")
    for number in range(3):
        make_samples(folder / str(number), photographs=2, steps=2, seed=number)
    values = ([0.5], [0.25], [0.75], None)
    return _sweep([_trial(folder, n, v, s) for n, (v, s) in enumerate(zip(values, states, strict=True))])


def _written(sweep: SweepShown, folder: Path) -> Parsed:
    write_sweep_page(sweep, folder / "sweep.html")
    parsed = Parsed((folder / "sweep.html").read_text(encoding="utf-8"))
    assert parsed.open == []
    return parsed


def test_state_and_best_are_said_in_a_line(tmp_path: Path) -> None:
    sweep = _four(tmp_path)
    assert tell_state(sweep) == "4 trials: 2 finished, 1 pruned, 1 failed"
    assert tell_best(sweep) == "best: trial 1, val/style 0.25"
    assert tell_state(replace(sweep, wanted=24)).startswith("4 of 24 trials: ")
    assert tell_best(replace(sweep, best=None)) == ""


def test_best_first_then_pruned_then_those_without_a_value(tmp_path: Path) -> None:
    sweep = _four(tmp_path)
    assert [trial.number for trial in ranked(sweep)] == [1, 0, 2, 3]
    assert [trial.number for trial in ranked(replace(sweep, objectives={"val/style": "maximize"}))] == [0, 1, 2, 3]
    assert best_so_far(sweep, "val/style") == [(0, 0.5), (1, 0.25)]  # the pruned one does not count


def test_nobody_dominates_the_front(tmp_path: Path) -> None:
    values = [(1.0, 4.0), (2.0, 2.0), (2.0, 3.0), (4.0, 1.0), (4.0, 4.0), (math.nan, 0.0), (2.0, 2.0)]
    sweep = _sweep([_trial(tmp_path, n, v) for n, v in enumerate(values)], "val/style", "val/content")
    assert [trial.number for trial, _, _ in front_of(sweep, "val/style", "val/content")] == [0, 1, 6, 3]
    up = replace(sweep, objectives={"val/style": "maximize", "val/content": "maximize"})
    assert [trial.number for trial, _, _ in front_of(up, "val/style", "val/content")] == [4]


def test_every_trial_has_its_row_with_the_last_pictures(tmp_path: Path) -> None:
    page = _written(_four(tmp_path), tmp_path)
    assert [a["data-trial"] for a in page.all("tr") if "id" in a] == ["1", "0", "2", "3"]
    samples = page.all("img", class_="sample")
    assert [a["data-path"] for a in samples][:2] == [f"1/samples/step_000200/photo_{n}.png" for n in (0, 1)]
    assert len(samples) == 6 and len(page.all("img", class_="original")) == 2
    for told in ("OutOfMemoryError: too large", "best: trial 1", "impasto train experiment=best", "n_trials=8", "TPE"):
        assert told in page.text, told
    assert page.all("tr", class_="best", id="trial-1")


def test_plots_are_those_that_make_sense(tmp_path: Path) -> None:
    one = _written(_four(tmp_path), tmp_path)
    assert "History: val/style" in one.text and "Pareto" not in one.text and "Importance: val/style" in one.text
    points = [a for a in one.all("a") if "data-trial" in a and a.get("class")]
    assert len(points) == 3 + 2 * 3  # the history, and two parameters
    two = _sweep([_trial(tmp_path, n, (n + 1.0, 5.0 - n)) for n in range(4)], "val/style", "val/content")
    assert "Pareto front: val/content against val/style" in _written(two, tmp_path).text
    three = replace(two, objectives=dict(two.objectives) | {"val/x": "maximize"})
    assert _written(three, tmp_path).text.count("Pareto front: ") == 1  # nobody has a value of the third


def test_wide_ranges_are_logarithmic_and_words_have_places() -> None:
    assert make_axis([1.0, 101.0]).log and not make_axis([1.0, 99.0]).log and not make_axis([0.0, 1e9]).log
    axis = make_axis([1e-6, 1e3])
    assert [tick.text for tick in axis.ticks] == ["1e-6", "1e-4", "0.01", "1", "100"]
    assert axis.place(1e3) - axis.place(1.0) == pytest.approx(axis.place(1.0) - axis.place(1e-3))
    names = make_axis(["b", "a", 3.0])
    assert [tick.text for tick in names.ticks] == ["3.0", "a", "b"] and names.place("a") == 0.5
    assert all(0 <= make_axis([v, v]).place(v) <= 1 for v in (0.0, -7.0, 1e299, -1e-300))


def test_short_names_tell_parameters_apart() -> None:
    names = ["loss.weights.style", "data.style", "optimizer.lr", "lr"]
    assert list(short_names(names).values()) == ["weights.style", "data.style", "optimizer.lr", "lr"]


@pytest.mark.parametrize("count", [0, 1])
def test_a_sweep_that_has_hardly_begun_has_a_page(tmp_path: Path, count: int) -> None:
    page = _written(_sweep([_trial(tmp_path, n, None, "waiting") for n in range(count)]), tmp_path)
    assert f"{count} of 4 trials" in page.text
    assert len([a for a in page.all("tr") if "data-trial" in a]) == 2 * count  # the sheet and the table


def test_values_that_are_no_numbers_are_said_and_not_drawn(tmp_path: Path) -> None:
    values = [[math.nan], [math.inf], [1e308], [0.5]]
    sweep = _sweep([_trial(tmp_path, n, v) for n, v in enumerate(values)])
    huge = replace(sweep.trials[0], parameters={"loss.weights.style": 10**400, "network": True})
    page = _written(replace(sweep, trials=[huge, *sweep.trials[1:]]), tmp_path)
    assert "NaN" in page.text and "infinity" in page.text
    assert {a["data-trial"] for a in page.all("a") if "data-trial" in a} == {"3"}
    keys = [a["data-sort"] for a in page.all("td", class_="num") if "data-sort" in a]
    assert {"nan", "Infinity", "1e+308"} <= set(keys)


def test_nothing_from_a_sweep_becomes_markup(tmp_path: Path) -> None:
    trials = []
    for number, text in enumerate(HOSTILE):
        name = text.replace("/", "_")
        make_image(tmp_path / name / "samples/step_000001" / f"{name}.png", seed=number)
        state = "failed" if number % 2 else "finished"
        trials.append(
            TrialShown(number, state, {text: text}, {HOSTILE[0]: 1.0 + number}, 1.0, text, tmp_path / name, True)
        )
    names = dict.fromkeys(HOSTILE, "minimize")
    shares = {text: dict.fromkeys(HOSTILE, 0.1) for text in HOSTILE}
    curves = {number: [(1, 1.0)] for number in range(len(HOSTILE))}
    text = HOSTILE[0]
    page = _written(SweepShown(text, names, trials, 9, shares, curves, 0, text, text, {text: text}), tmp_path)
    assert len([a for a in page.all("script") if a.get("type") is None]) == 1
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            assert attributes.get(name) is None or str(attributes[name]).startswith(("#", "data:image/webp;base64,"))
    assert tag != "link" and "{{7*7}}" in page.text
    policy = str(page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"])
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-\S+'; script-src 'sha256-\S+'; .*", policy
    )


def test_the_page_is_bounded_whatever_it_is_given(tmp_path: Path) -> None:
    noise = [make_image(tmp_path / f"{n}.png", seed=n, size=(220, 160), noise=True) for n in range(60)]
    trials, ugly = [], "'&\u20ac"
    for number in range(650):
        folder = tmp_path / "s" / str(number)
        if number < 60:
            (folder / "samples/step_000001").mkdir(parents=True)
            (folder / "samples/step_000001" / f"{ugly * 9}.png").hardlink_to(noise[number])
        parameters: dict[str, float | int | str] = {f"{ugly * 26}{n}": f"{ugly * 100}{number}" for n in range(35)}
        parameters |= {f"n{n}": 1e-300 * (number + 1) for n in range(10)}
        values = {f"{ugly * 40}{n}": -1.23456e-300 * number for n in range(9)}
        trials.append(TrialShown(number, "finished", parameters, values, 1.0, ugly * 900, folder, number % 2 == 0))
    names = dict.fromkeys(trials[0].values or {}, "maximize")
    shares = {name: dict.fromkeys(trials[0].parameters, 0.5) for name in names}
    curves = {trial.number: [(step, 1.23456e-300 * step) for step in range(150)] for trial in trials}
    page = SweepShown(ugly * 900, names, trials, 2_000, shares, curves, 3, ugly * 9_000, "", {ugly: ugly * 9_000})
    write_sweep_page(page, tmp_path / "sweep.html")
    text = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert 10_000_000 < (tmp_path / "sweep.html").stat().st_size <= 20_000_000
    assert text.count('id="trial-') == 600 and text.count('class="sample"') == 60
    assert "50 of 650 trials are left out" in text


def test_when_little_room_is_left_the_best_trials_keep_their_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        make_samples(tmp_path / str(number), photographs=1, steps=1, seed=number, noise=True)
    sweep = _sweep([_trial(tmp_path, number, [6.0 - number]) for number in range(6)])
    monkeypatch.setattr(sweep_module, "_PICTURES", 50_000)
    page = _written(sweep, tmp_path)
    rows = [str(a["data-path"])[0] for a in page.all("img", class_="sample")]
    assert rows == ["5", "4", "3", "2"] and "2 pictures are left out" in page.text


def test_a_broken_picture_is_told_and_a_missing_folder_is_borne(tmp_path: Path) -> None:
    sweep = _four(tmp_path)
    (tmp_path / "1/samples/step_000200/photo_0.png").write_text("no picture")
    odd = replace(sweep.trials[0], folder=tmp_path / "nul\0")
    page = _written(replace(sweep, trials=[odd, *sweep.trials[1:]]), tmp_path)
    assert "1/samples/step_000200/photo_0.png: is no image that can be read" in page.text
    assert len(page.all("img", class_="sample")) == 3


def test_the_report_reads_a_pruned_trial_and_the_plots_of_a_sweep(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "sweep", command="sweep", config={"n_trials": 2})
    make_run(folder / "0"), make_run(folder / "1", status="pruned")
    for name in ("history", "importance", "pareto"):
        make_image(folder / f"{name}.png", seed=len(name))
    make_image(folder / "sheet.png", seed=1, size=(60, 200))
    (folder / "trials.md").write_text("| trial | value |\n| --- | --- |\n| 1 | 0.25 |\n")
    report = write_report([str(tmp_path)], tmp_path / "report.html")
    assert report.statuses == {"finished": 2, "pruned": 1} and not report.problems
    page = Parsed((tmp_path / "report.html").read_text())
    plots = [a["data-path"] for a in page.all("img", class_="plot-image")]
    assert plots == ["history.png", "importance.png", "pareto.png", "sheet.png"]
    assert (
        len(page.all("figure", class_="long")) == 1
        and "trials.md" in page.text
        and "ended this trial early" in page.text
    )
    assert json.loads((folder / "1/status.json").read_text())["status"] == "pruned"


def test_a_weight_that_is_named_as_an_objective_is_told_apart() -> None:
    assert short_names(["loss.weights.style", "system.optimizer.lr", "style"]) == {
        "loss.weights.style": "weights.style",
        "system.optimizer.lr": "lr",
        "style": "style",
    }
