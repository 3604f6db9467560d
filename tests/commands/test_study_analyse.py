"""impasto study analyse: findings as files and in W&B, of people or simulated raters, finished or in progress."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_study import small_study

from impasto.study.answers import Answers
from impasto.study.folder import Study, image_file, read_study
from impasto.study.simulation import Preferences, simulate_rater

NOTE = "SIMULATED: {} of {} raters are simulated, not people"
TABLES = ("methods", "comparisons", "raters")


def _answer(folder: Path, study: Study, *, simulated: bool) -> None:
    values = dict(zip(study.methods, (0.9, 0.1) if study.question.pictures == 1 else (1.0, -1.0), strict=True))
    preferences = Preferences(values=values, rater_spread=0, careless=0)
    answers = Answers(folder)
    for rater in range(1, len(study.sessions) + 1):
        for a in simulate_rater(study, rater, preferences, seed=0):
            answers.add(rater, a.position, a.answer, milliseconds=a.milliseconds, simulated=simulated)


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The tables of the offline W&B run; an image is told as "Image"."""
    found = {}
    for path in folder.glob("wandb/offline-run-*/files/media/table/study/*.table.json"):
        told = json.loads(path.read_text())
        found[path.name.split("_")[0]] = [dict(zip(told["columns"], row, strict=True)) for row in told["data"]]
    return found


def _png(folder: Path) -> set[bytes]:
    """Every PNG file below the W&B run, staged ones included."""
    data = [path.read_bytes() for path in (folder / "wandb").rglob("*") if path.is_file() and not path.is_symlink()]
    return {content for content in data if content.startswith(b"\x89PNG")}


# ---------------------------------------------------------------- from photographs to findings


@pytest.mark.slow
def test_a_study_from_photographs_to_findings(impasto: Callable[..., Any], tmp_path: Path) -> None:
    for number in range(4):
        image = np.random.default_rng(number).integers(0, 256, (40, 56, 3), dtype=np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / f"{number} %.png")
    methods = "methods={ground truth: photograph, grey: grey}"
    created = impasto("study", "create", "photos", methods, "raters=20", "repeats=2").folder
    values = "preferences={ground truth: 0.95, grey: 0.05}"
    assert impasto("study", "simulate", str(created), values, "rater_spread=0").code == 0
    result = impasto("study", "analyse", str(created))
    assert result.code == 0, result.err
    study, folder = read_study(created), result.folder
    note = NOTE.format(20, 20)
    text = (folder / "study.md").read_text()
    assert text.startswith(f"**{note}.**") and text.strip() in result.out
    told = json.loads((folder / "analysis.json").read_text())
    assert (told["simulated"], told["answers"], told["expected_answers"]) == (20, 200, 200)
    truth, grey = told["methods"]
    assert truth["share"] > 0.8 > 0.2 > grey["share"]
    assert told["comparisons"][0]["p_corrected"] < 0.001 and "| < 0.001 |" in text
    assert len(_csv(folder / "answers.csv")) == 200
    assert [row["method"] for row in _csv(folder / "methods.csv")] == ["ground truth", "grey"]
    _is_in_wandb(folder, created, study, told, note)


def _is_in_wandb(folder: Path, created: Path, study: Study, told: dict[str, Any], note: str) -> None:
    tables = _tables(folder)
    assert set(tables) == {*TABLES, "results"}
    for name in TABLES:
        assert [row.pop("note") for row in tables[name]] == [note] * len(told[name])
        assert tables[name] == told[name]
    assert {row["note"] for row in tables["results"]} == {note}
    counts = Counter((r["photograph"], r["method"], r["answers"], r["chosen"], r["share"]) for r in tables["results"])
    expected = [(r["photograph"], r["method"], r["answers"], r["chosen"], r["share"]) for r in told["pictures"]]
    assert counts == Counter(expected)
    judged = {image_file(created, name).read_bytes() for name, s in study.stimuli.items() if s.method is not None}
    assert _png(folder) == judged | {(folder / "study.png").read_bytes()}


# ---------------------------------------------------------------- people and simulated raters


@pytest.mark.slow
def test_nothing_says_simulated_where_people_answered(impasto: Callable[..., Any], tmp_path: Path) -> None:
    study = small_study(tmp_path / "study", pictures=2, raters=4)
    _answer(tmp_path / "study", study, simulated=False)
    result = impasto("study", "analyse", "study")
    assert result.code == 0, result.err
    assert "SIMULATED" not in result.out + (result.folder / "study.md").read_text()
    assert {row["simulated"] for row in _csv(result.folder / "raters.csv")} == {"False"}
    tables = _tables(result.folder)
    assert set(tables) == {*TABLES, "results"}
    assert {row["note"] for rows in tables.values() for row in rows} == {""}
    assert tables["methods"][0]["strength"] > 0 > tables["methods"][1]["strength"]


# ---------------------------------------------------------------- in progress, again, elsewhere


def test_a_study_in_progress_is_analysed(impasto: Callable[..., Any], tmp_path: Path) -> None:
    study = small_study(tmp_path / "study")
    Answers(tmp_path / "study").add(1, 0, 1, milliseconds=800)
    result = impasto("study", "analyse", "study")
    assert result.code == 0, result.err
    assert "1 of 2 raters have begun, 0 have finished; 1 of 12 answers" in result.out
    assert study.question.text in result.out and "nan" not in result.out
    assert {row["answers"] for row in _csv(result.folder / "methods.csv")} == {"0", "1"}
    assert len(_tables(result.folder)["results"]) == 1


@pytest.mark.slow
def test_analysing_changes_nothing_and_says_the_same_again(impasto: Callable[..., Any], tmp_path: Path) -> None:
    study = small_study(tmp_path / "study", raters=6)
    _answer(tmp_path / "study", study, simulated=True)
    before = {path: path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()}
    one, same = (impasto("study", "analyse", "study", "logger=csv").folder for _ in range(2))
    for name in ("study.md", "analysis.json", "study.png", "methods.csv", "raters.csv", "answers.csv"):
        assert (one / name).read_bytes() == (same / name).read_bytes()
    assert {path: path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_findings_go_where_they_shall_but_not_over_the_study(impasto: Callable[..., Any], tmp_path: Path) -> None:
    study = small_study(tmp_path / "study")
    _answer(tmp_path / "study", study, simulated=True)
    assert impasto("study", "analyse", "study", "output=my findings", "logger=csv").code == 0
    assert (tmp_path / "my findings" / "study.md").is_file()
    raters = (tmp_path / "study" / "raters.csv").read_text()
    result = impasto("study", "analyse", "study", f"output={tmp_path}/study", "logger=csv")
    assert result.code == 1
    assert f"output={tmp_path}/study is a study, whose raters.csv would be overwritten" in result.err
    assert (tmp_path / "study" / "raters.csv").read_text() == raters
    small_study(tmp_path / "other")
    assert impasto("study", "analyse", "study", "output=other", "logger=csv").code == 1


# ---------------------------------------------------------------- lost and damaged


@pytest.mark.slow
def test_lost_pictures_are_named_and_the_rest_is_analysed(impasto: Callable[..., Any], tmp_path: Path) -> None:
    study = small_study(tmp_path / "study", raters=4)
    _answer(tmp_path / "study", study, simulated=True)
    gone, changed = (name for name, s in study.stimuli.items() if s.photograph == "photo1" and s.method)
    image_file(tmp_path / "study", gone).unlink()
    image_file(tmp_path / "study", changed).write_bytes(b"no image")
    result = impasto("study", "analyse", "study")
    assert result.code == 0, result.err
    assert f"2 pictures of the study are missing or changed, the first is study/images/{gone}.png" in result.out
    assert len(_csv(result.folder / "pictures.csv")) == 4
    assert {row["photograph"] for row in _tables(result.folder)["results"]} == {"photo0"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "study.json").write_text("{}"), "study/study.json is damaged: title: Field required"),
        (lambda folder: (folder / "answers.sqlite").write_text("x"), "study/answers.sqlite cannot be used for answers"),
    ],
    ids=["study.json", "answers"],
)
def test_what_is_damaged_is_told_in_a_sentence(
    impasto: Callable[..., Any], tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    small_study(tmp_path / "study")
    damage(tmp_path / "study")
    result = impasto("study", "analyse", "study", "logger=csv")
    assert result.code == 1
    assert result.err.startswith(f"error: {message}") and result.err.count("\n") == 1
    (status,) = tmp_path.glob("outputs/*/*/status.json")
    assert json.loads(status.read_text())["status"] == "failed"


def test_a_study_must_be_given(impasto: Callable[..., Any]) -> None:
    result = impasto("study", "analyse")
    assert (result.code, result.out) == (1, "")
    assert result.err == "error: nothing is given for study; expected study=<value>, which --help explains\n"


def test_lost_tokens_do_not_stop_the_analysis(impasto: Callable[..., Any], tmp_path: Path) -> None:
    small_study(tmp_path / "study")
    (tmp_path / "study" / "raters.csv").unlink()
    assert impasto("study", "analyse", "study", "logger=csv").code == 0
