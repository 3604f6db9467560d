"""Laws of a study's folder: read as it was written, and refused in a sentence where it is damaged."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_study import small_study

from impasto.study.folder import (
    Question,
    Rule,
    image_file,
    lost_pictures,
    read_study,
    read_tokens,
)

RULE: dict[str, Any] = {"least_catches": 0.75, "least_repeats": None, "least_milliseconds": 250, "least_done": 0}
PICTURES = pytest.mark.parametrize("pictures", [1, 2])

# ---------------------------------------------------------------- written and read


@PICTURES
@pytest.mark.parametrize("break_every", [None, 3])
def test_a_study_is_read_as_it_was_written(tmp_path: Path, pictures: int, break_every: int | None) -> None:
    study = small_study(tmp_path, pictures=pictures, raters=3, break_every=break_every)
    assert read_study(tmp_path) == study


def test_every_rater_has_a_token_that_cannot_be_guessed(tmp_path: Path) -> None:
    found: list[str] = []
    for _ in range(3):
        study = small_study(tmp_path, raters=20)
        tokens = read_tokens(tmp_path)
        assert sorted(tokens.values()) == list(range(1, 21))
        found += tokens
    assert len(set(found)) == 60  # of the same study and seed
    assert all(len(token) >= 24 and token.replace("-", "").replace("_", "").isalnum() for token in found)
    assert study.seed == 0
    text = (tmp_path / "study.json").read_text()
    assert not any(token in text for token in found)


def test_only_the_owner_reads_the_tokens(tmp_path: Path) -> None:
    small_study(tmp_path)
    assert stat.S_IMODE((tmp_path / "raters.csv").stat().st_mode) == 0o600


# ---------------------------------------------------------------- pictures


def test_the_order_of_the_stimuli_tells_nothing(tmp_path: Path) -> None:
    """Sorted by ids, methods stand at every place about equally often."""
    firsts = []
    for _ in range(40):
        study = small_study(tmp_path, size=8)
        first = min(study.stimuli)
        firsts.append(study.stimuli[first].method)
    assert set(firsts) == {*study.methods, None}


def test_pictures_that_are_gone_or_changed_are_found(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    assert lost_pictures(study, tmp_path) == []
    gone, changed, *_ = (image_file(tmp_path, name) for name in study.stimuli)
    gone.unlink()
    changed.write_bytes(b"other")
    assert lost_pictures(study, tmp_path) == [gone, changed]


# ---------------------------------------------------------------- damaged


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no study in .*expected the run folder of an 'impasto study create'"):
        read_study(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"study"', "{}", "\x00", '{"title": 1}'])
def test_what_is_no_study_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ValueError, match=r"study\.json is damaged: ."):
        read_study(tmp_path)


def _first(told: dict[str, Any], kind: str) -> dict[str, Any]:
    trial: dict[str, Any] = next(t for session in told["sessions"] for t in session if t["kind"] == kind)
    return trial


def _stimulus(told: dict[str, Any]) -> dict[str, Any]:
    stimulus: dict[str, Any] = next(s for s in told["stimuli"].values() if s["method"] is not None)
    return stimulus


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a picture that is not there": lambda told: _first(told, "rated").update(pictures=["0" * 16]),
    "pictures that are no names": lambda told: _first(told, "rated").update(pictures=[["a"]]),
    "a path as a name": lambda told: told["stimuli"].update({"../../etc/passwd": _stimulus(told)}),
    "a dot as a name": lambda told: told["stimuli"].update({".": _stimulus(told)}),
    "an empty name": lambda told: told["stimuli"].update({"": _stimulus(told)}),
    "an unknown kind": lambda told: _first(told, "rated").update(kind="other"),
    "a catch with a third answer": lambda told: _first(told, "catch").update(expected=2),
    "a method too many": lambda told: _stimulus(told).update(method="another"),
    "a method too few": lambda told: told.update(methods=told["methods"][:1]),
    "a key of a trial too many": lambda told: _first(told, "rated").update(extra=1),
    "three pictures at once": lambda told: told["question"].update(pictures=3),
    "three answers": lambda told: told["question"].update(answers=["a", "b", "c"]),
    "answers that are no texts": lambda told: told["question"].update(answers=[0, 1]),
    "a share above one": lambda told: told["rule"].update(least_catches=2),
    "a share that is a text": lambda told: told["rule"].update(least_done="much"),
    "no share": lambda told: told["rule"].update(least_catches=None),
    "sessions that are none": lambda told: told.update(sessions=3),
    "a session that is none": lambda told: told["sessions"].append("abc"),
    "stimuli that are none": lambda told: told.update(stimuli=list(told["stimuli"])),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_study_that_contradicts_itself_is_refused(tmp_path: Path, damage: str) -> None:
    small_study(tmp_path, size=8)
    file = tmp_path / "study.json"
    told = json.loads(file.read_text())
    DAMAGES[damage](told)
    file.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"study\.json is damaged: \S+ \S+") as error:
        read_study(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"rater\n1\n", b"a,b\n1,2\n", b"rater,token\nx,abc\n", b"\xff\xfe\xfa", b"rater,token\n" + b"9" * 200_000 + b",a"],
    ids=["no token", "other columns", "no number", "no text", "a field without end"],
)
def test_damaged_tokens_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "raters.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"raters\.csv is damaged: expected columns rater and token"):
        read_tokens(tmp_path)


def test_lost_tokens_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"raters\.csv: without it the links of the raters are lost"):
        read_tokens(tmp_path)


# ---------------------------------------------------------------- what is refused from the start


@pytest.mark.parametrize("answers", [(), ("a",), ("a", "b", "c"), (0, 1), ("a", ""), ("a", None)])
def test_a_question_has_two_answers_with_texts(answers: Any) -> None:
    with pytest.raises(ValueError, match="for Question\nanswers"):
        Question(text="?", pictures=1, answers=answers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("least_catches", 2),
        ("least_catches", -0.1),
        ("least_catches", None),
        ("least_catches", "most"),
        ("least_catches", float("nan")),
        ("least_repeats", 1.01),
        ("least_repeats", "x"),
        ("least_done", None),
        ("least_milliseconds", -1),
        ("least_milliseconds", "fast"),
        ("least_milliseconds", None),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"for Rule\n{name}\n"):
        Rule(**(RULE | {name: value}))
