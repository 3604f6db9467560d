"""Laws of the findings: text, tables and plot say the same, and simulated raters are never hidden."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_study import imagined_study

from impasto.study.analysis import Analysis, analyse
from impasto.study.answers import Answer
from impasto.study.findings import describe, plot_methods, simulated_note, write_findings
from impasto.study.folder import Question, Rule, Study
from impasto.study.simulation import Preferences, simulate_rater

NATURAL = Question(text="Does it look natural?", pictures=1, answers=("Not natural", "Natural"))
BETTER = Question(text="Which is better?", pictures=2, answers=("Left", "Right"))
RULE = Rule(least_catches=0.75, least_repeats=None, least_milliseconds=250, least_done=0)
VALUES = {"ground truth": 0.9, "a_$b$_c": 0.6, "grün": 0.2}
QUESTIONS = pytest.mark.parametrize("question", [NATURAL, BETTER], ids=["natural", "better"])
FILES = ["analysis.json", "answers.csv", "comparisons.csv", "methods.csv", "pictures.csv", "raters.csv", "study.md"]


def _study(question: Question, raters: int = 12) -> Study:
    layout = {"photographs": 6, "raters": raters, "rounds": 1, "repeats": 2, "catches": 2, "seed": 0}
    return imagined_study(question, RULE, list(VALUES), **layout)


def _answers(study: Study, raters: int = 12, *, simulated: bool = True) -> list[Answer]:
    preferences = Preferences(values=VALUES, rater_spread=0, careless=0)
    found = [a for rater in range(1, raters + 1) for a in simulate_rater(study, rater, preferences, seed=0)]
    return [answer._replace(simulated=simulated) for answer in found]


def _analyse(study: Study, answers: Sequence[Answer]) -> Analysis:
    return analyse(study, answers, seed=0, resamples=100)


def _written(folder: Path, study: Study, answers: list[Answer]) -> str:
    return write_findings(folder, study, _analyse(study, answers), answers)


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _rows(text: str, first: str) -> list[list[str]]:
    """The rows of the Markdown table whose first column has that title."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


# ---------------------------------------------------------------- files


@QUESTIONS
def test_files_hold_the_analysis(tmp_path: Path, question: Question) -> None:
    study = _study(question)
    answers = _answers(study)
    analysis = _analyse(study, answers)
    text = write_findings(tmp_path / "new", study, analysis, answers)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [*FILES[:-1], "study.md", "study.png"]
    assert (tmp_path / "new" / "study.md").read_text(encoding="utf-8") == text == describe(study, analysis)
    told = json.loads((tmp_path / "new" / "analysis.json").read_text())
    assert told["question"] == question.text and told["alpha"] == analysis.alpha
    for name in ("methods", "comparisons", "pictures", "raters"):
        rows = [row._asdict() for row in getattr(analysis, name)]
        assert told[name] == rows
        read = _csv(tmp_path / "new" / f"{name}.csv")
        assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows] == read


@QUESTIONS
def test_the_answers_are_written_with_what_raters_did_not_see(tmp_path: Path, question: Question) -> None:
    study = _study(question)
    answers = _answers(study)
    _written(tmp_path, study, answers)
    rows = _csv(tmp_path / "answers.csv")
    assert len(rows) == len(answers)
    for row, answer in zip(rows, answers, strict=True):
        trial = study.sessions[answer.rater - 1][answer.position]
        assert (int(row["rater"]), int(row["position"]), int(row["answer"])) == answer[:3]
        assert row["kind"] == trial.kind
        assert row["label"] == question.answers[answer.answer]
        shown = [study.stimuli[picture] for picture in trial.pictures]
        assert row["photograph"] == shown[0].photograph
        assert [row[f"method_{side}"] for side in range(1, question.pictures + 1)] == [
            stimulus.method or "spoiled" for stimulus in shown
        ]
        assert row["expected"] == ("" if trial.expected is None else str(trial.expected))
        assert row["simulated"] == "True"


# ---------------------------------------------------------------- text


@QUESTIONS
def test_the_text_says_the_numbers_of_the_tables(tmp_path: Path, question: Question) -> None:
    study = _study(question)
    answers = _answers(study)
    analysis = _analyse(study, answers)
    text = describe(study, analysis)
    for row, told in zip(analysis.methods, _rows(text, "method"), strict=True):
        assert row.share is not None and row.low is not None and row.high is not None
        expected = [row.method, f"{100 * row.share:.1f} %", f"{100 * row.low:.1f} to {100 * row.high:.1f} %"]
        assert told[:4] == [*expected, str(row.answers)]
        if question is BETTER:
            assert told[4:] == [f"{row.strength:.2f}", f"{row.strength_low:.2f} to {row.strength_high:.2f}"]
    for comparison, told in zip(analysis.comparisons, _rows(text, "comparison"), strict=True):
        assert comparison.difference is not None
        assert told[:3] == [f"{comparison.first} - {comparison.second}", f"{100 * comparison.difference:+.1f} %", "12"]
        assert told[3] == "< 0.001" or float(told[3]) == pytest.approx(comparison.p_corrected, abs=6e-4)
    assert f"alpha: {analysis.alpha:.2f} " in text
    assert "12 of 12 raters have begun, 12 have finished; 120 of 120 answers, 72 of them counted" in text
    assert "6 photographs" in text and question.text in text


def test_raters_left_out_are_named_with_the_reason() -> None:
    study = _study(NATURAL)
    answers = [a._replace(milliseconds=3) if a.rater == 4 else a for a in _answers(study, simulated=False)]
    text = describe(study, _analyse(study, answers))
    assert "Raters: 11 kept of 12; left out is who passes fewer than 75 %" in text
    assert "- rater 4 left out: took 3 ms an answer" in text
    assert text.count("left out:") == 1
    assert "66 of them counted" in text


def test_the_whole_rule_is_said() -> None:
    study = _study(NATURAL)
    rule = study.rule.model_copy(update={"least_repeats": 0.5, "least_done": 0.8})
    text = describe(study.model_copy(update={"rule": rule}), _analyse(study, []))
    assert (
        "left out is who passes fewer than 75 % of the catch trials, or answers fewer than 50 % of the repeats as the "
        "first time, or takes less than 250 ms an answer (median), or has answered less than 80 % of the session; "
        "fixed when the study was created." in text
    )


@QUESTIONS
@pytest.mark.parametrize("count", [0, 1, 13])
def test_a_study_in_progress_is_described(tmp_path: Path, question: Question, count: int) -> None:
    study = _study(question)
    answers = _answers(study)[:count]
    text = _written(tmp_path, study, answers)
    begun = -(-count // 10)
    assert f"{begun} of 12 raters have begun, {count // 10} have finished; {count} of 120 answers" in text
    assert "nan" not in text.lower() and "None" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == [*FILES[:-1], "study.md", "study.png"]
    if count == 0:
        assert all(row[1] == "-" and row[2] == "-" for row in _rows(text, "method"))
        assert "Raters: 0 kept of 0" in text and "Catch trials passed" not in text


# ---------------------------------------------------------------- simulated


@QUESTIONS
def test_simulated_raters_are_said_first(question: Question) -> None:
    study = _study(question)
    some = [answer._replace(simulated=answer.rater <= 5) for answer in _answers(study)]
    analysis = _analyse(study, some)
    assert simulated_note(analysis) == "SIMULATED: 5 of 12 raters are simulated, not people"
    assert describe(study, analysis).startswith(f"**{simulated_note(analysis)}.**\n")


# ---------------------------------------------------------------- plot


class _Axis:
    """Keeps what is drawn: the plot is drawn by matplotlib itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from matplotlib.axes import Axes

        self.lines: list[Any] = []
        self.title = ""
        plot, title = Axes.plot, Axes.set_title

        def keep_plot(axes: Any, *args: Any, **kwargs: Any) -> Any:
            self.lines.append(args[:2])
            return plot(axes, *args, **kwargs)

        def keep_title(axes: Any, label: str, **kwargs: Any) -> Any:
            self.title = label
            return title(axes, label, **kwargs)

        monkeypatch.setattr(Axes, "plot", keep_plot)
        monkeypatch.setattr(Axes, "set_title", keep_title)


@QUESTIONS
def test_the_plot_draws_every_method_with_its_interval(
    tmp_path: Path, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _study(question)
    analysis = _analyse(study, _answers(study))
    axis = _Axis(monkeypatch)
    plot_methods(tmp_path / "plot.png", study, analysis)
    expected = []
    for place, row in enumerate(reversed(analysis.methods)):
        pairs = question is BETTER
        ends = (row.strength_low, row.strength_high) if pairs else (row.low, row.high)
        expected += [(list(ends), [place, place]), (row.strength if pairs else row.share, place)]
    assert axis.lines == expected
    assert axis.title == f"{question.text}\nSIMULATED: 12 of 12 raters are simulated, not people"
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG" and len(set(image.convert("L").tobytes())) > 20
        assert not {"Software", "Creation Time"} & set(image.info)


@pytest.mark.parametrize("count", [0, 1])
def test_what_is_not_known_is_not_drawn(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study(NATURAL)
    axis = _Axis(monkeypatch)
    people = [answer._replace(simulated=False) for answer in _answers(study)[:count]]
    plot_methods(tmp_path / "plot.png", study, _analyse(study, people))
    assert len(axis.lines) == count  # the point of one rater, without an interval
    assert axis.title == NATURAL.text


@pytest.mark.slow
def test_a_question_in_dollars_is_no_formula(tmp_path: Path) -> None:
    question = NATURAL.model_copy(update={"text": "Worth $5 or $\\frac?"})
    study = _study(NATURAL).model_copy(update={"question": question})
    plot_methods(tmp_path / "plot.png", study, _analyse(study, _answers(study)))
    assert (tmp_path / "plot.png").stat().st_size > 1000
