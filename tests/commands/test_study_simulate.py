"""impasto study simulate: raters of known preferences answer, marked as simulated, and only who has not begun."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from small_study import METHODS, small_study

from impasto.cli import conf_dir
from impasto.commands import study_simulate
from impasto.study.answers import Answer, Answers, read_answers
from impasto.study.simulation import Preferences, simulate_rater
from impasto.tracking.recording import Interrupted

FIRST, SECOND = METHODS


def _run(folder: Path, *overrides: str) -> None:
    """The command without its process, for what has no output."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("study_simulate", [f"study={folder}", *overrides])
    study_simulate.run(cfg)


def _plain(answers: list[Answer]) -> list[Answer]:
    return [answer._replace(received="") for answer in answers]


def test_all_raters_answer_everything_and_are_marked(impasto: Callable[..., Any], tmp_path: Path) -> None:
    study = small_study(tmp_path / "study", raters=4)
    before = set(tmp_path.iterdir())
    result = impasto("study", "simulate", "study", "seed=5", f"preferences={{{FIRST}: 1, {SECOND}: 0.25}}")
    assert result.code == 0, result.err
    answers = read_answers(tmp_path / "study")
    preferences = Preferences(values={FIRST: 1, SECOND: 0.25}, rater_spread=0.5, careless=0)
    expected = [a for rater in range(1, 5) for a in simulate_rater(study, rater, preferences, seed=5)]
    assert _plain(answers) == expected and all(answer.simulated for answer in answers)
    first, used, following = result.out.splitlines()  # and no run folder
    assert first == f"4 raters simulated, with {FIRST} 1.00, {SECOND} 0.25"
    assert used.startswith("their sessions are used up") and following == "next: impasto study analyse study"
    assert set(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_some_raters_then_the_rest_then_nobody(impasto: Callable[..., Any], tmp_path: Path) -> None:
    small_study(tmp_path / "study", raters=3)
    assert impasto("study", "simulate", "study", "raters=1").code == 0
    first = read_answers(tmp_path / "study")
    assert {answer.rater for answer in first} == {1}
    refused = impasto("study", "simulate", "study", "raters=3")
    assert (refused.code, refused.err) == (1, "error: expected raters of at most 2, who have not begun in study\n")
    assert impasto("study", "simulate", "study").code == 0
    answers = read_answers(tmp_path / "study")
    assert len(answers) == 18 and answers[: len(first)] == first
    refused = impasto("study", "simulate", "study")
    expected = "error: expected raters of at most 0, who have not begun in study\n"
    assert (refused.code, refused.err) == (1, expected)
    assert read_answers(tmp_path / "study") == answers


def test_a_study_that_people_answer_is_not_simulated(tmp_path: Path) -> None:
    small_study(tmp_path, raters=3)
    Answers(tmp_path).add(2, 0, 1, milliseconds=900)
    with pytest.raises(ValueError, match=r"people have begun to answer .*; simulate on a copy of the folder"):
        _run(tmp_path)
    assert [(answer.rater, answer.simulated) for answer in read_answers(tmp_path)] == [(2, False)]


@pytest.mark.parametrize(("pictures", "told"), [(1, "0.90, secretjohnson 0.10"), (2, "1.00, secretjohnson -1.00")])
def test_without_preferences_they_fall_in_the_order_of_the_methods(
    tmp_path: Path, pictures: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    small_study(tmp_path, pictures=pictures)
    with caplog.at_level("INFO"):
        _run(tmp_path)
    assert f"2 raters simulated, with secretgatys {told}" in caplog.text


def test_an_interrupt_keeps_who_was_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_study(tmp_path, raters=3)
    add = Answers.add

    def interrupted(self: Answers, rater: int, position: int, answer: int, **told: Any) -> bool:
        if (rater, position) == (2, 3):
            raise KeyboardInterrupt
        return add(self, rater, position, answer, **told)

    monkeypatch.setattr(Answers, "add", interrupted)
    with pytest.raises(Interrupted, match="stopped; the raters simulated so far are kept"):
        _run(tmp_path)
    assert [(a.rater, a.position) for a in read_answers(tmp_path)] == [
        *((1, position) for position in range(6)),
        *((2, position) for position in range(3)),
    ]


@pytest.mark.slow
def test_without_a_run_folder_it_ends_with_a_sentence_too(
    impasto: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_study(tmp_path / "study")

    def fail(*_: object, **__: object) -> None:
        raise next(errors)

    errors = iter([KeyboardInterrupt(), RuntimeError("boom"), OSError(28, "No space left on device", "answers.sqlite")])
    monkeypatch.setattr(Answers, "add", fail)
    for code, expected in (
        (130, "stopped; the raters simulated so far are kept\n"),
        (1, "error: RuntimeError: boom (unexpected; HYDRA_FULL_ERROR=1 shows the traceback)\n"),
        (1, "error: No space left on device: answers.sqlite\n"),
    ):
        result = impasto("study", "simulate", "study")
        assert (result.code, result.out, result.err) == (code, "", expected)
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("preferences={a: 1}",), "expected a value for each of secretgatys, secretjohnson, got a"),
        (("preferences={secretgatys: 0.5}",), "expected a value for each of"),
        (("preferences={secretgatys: 2, secretjohnson: 0}",), "expected probabilities between 0 and 1"),
        (("preferences={secretgatys: x, secretjohnson: 0}",), "secretgatys to be a valid number, got x"),
        (("careless=2",), "expected careless to be less than or equal to 1, got 2"),
        (("rater_spread=-1",), "expected rater_spread to be greater than or equal to 0, got -1"),
        (("raters=0",), "expected raters to be greater than or equal to 1, got 0"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_does_not_fit_is_refused_and_nobody_answers(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    small_study(tmp_path, size=8)
    with pytest.raises(ValueError, match=message):
        _run(tmp_path, *overrides)
    assert read_answers(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "no study in nothing: expected the run folder of an 'impasto study create'"),
        (("study=garbage",), "garbage/answers.sqlite cannot be used for answers: file is not a database"),
    ],
    ids=["no study", "garbage"],
)
def test_a_study_that_cannot_be_read_is_refused(
    impasto: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    small_study(tmp_path / "garbage")
    (tmp_path / "garbage" / "answers.sqlite").write_bytes(b"no database at all")
    before = sorted(tmp_path.rglob("*"))
    result = impasto("study", "simulate", *arguments)
    assert result.code == 1
    assert result.err.startswith(f"error: {message}") and result.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
