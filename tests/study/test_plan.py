"""Laws of a study's folder: read as it was written, and refused in a sentence where it is damaged."""

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_study import small_study

from impasto.study.plan import (
    Question,
    Rule,
    Study,
    by_photograph,
    image_file,
    lost_pictures,
    read_study,
    read_tokens,
    write_study,
)

RULE: dict[str, Any] = {"least_catches": 0.75, "least_repeats": None, "least_milliseconds": 250, "least_done": 0}
PICTURES = pytest.mark.parametrize("pictures", [1, 2])

# ---------------------------------------------------------------- written and read


@PICTURES
@pytest.mark.parametrize("break_every", [None, 3])
def test_a_study_is_read_as_it_was_written(tmp_path: Path, pictures: int, break_every: int | None) -> None:
    study = small_study(tmp_path, pictures=pictures, raters=3, break_every=break_every)
    assert read_study(tmp_path) == study


def test_text_of_any_script_is_kept(tmp_path: Path) -> None:
    question = Question(text="Wirkt dieses Bild natürlich?", pictures=1, answers=("künstlich", "natürlich"))
    title = '写真 <b>"q"</b> \\ \u2028'
    study = small_study(tmp_path).model_copy(update={"title": title, "question": question})
    write_study(tmp_path, study)
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


@PICTURES
def test_pictures_come_by_photograph_in_the_order_of_the_methods_the_spoiled_one_last(
    tmp_path: Path, pictures: int
) -> None:
    study = small_study(tmp_path, pictures=pictures)
    grouped = by_photograph(study)
    assert list(grouped) == ["photo0", "photo1"]
    for photograph, names in grouped.items():
        assert [study.stimuli[name].method for name in names] == [*study.methods, None]
        assert {study.stimuli[name].photograph for name in names} == {photograph}
    turned = by_photograph(study.model_copy(update={"methods": study.methods[::-1]}))
    assert [study.stimuli[name].method for name in turned["photo1"]] == [*study.methods[::-1], None]


def test_the_order_of_the_stimuli_tells_nothing(tmp_path: Path) -> None:
    """Sorted by ids, methods stand at every place about equally often."""
    firsts = []
    for _ in range(40):
        study = small_study(tmp_path, size=8)
        first = min(study.stimuli)
        firsts.append(study.stimuli[first].method)
    assert set(firsts) == {*study.methods, None}


def test_pictures_that_are_gone_or_changed_are_named(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    assert lost_pictures(study, tmp_path) == {}
    gone, changed, spoiled = by_photograph(study)["photo1"]
    image_file(tmp_path, gone).unlink()
    image_file(tmp_path, spoiled).write_bytes(image_file(tmp_path, changed).read_bytes())
    assert lost_pictures(study, tmp_path) == {
        gone: f"{tmp_path}/images/{gone}.png is missing (photo1, {study.methods[0]})",
        spoiled: f"{tmp_path}/images/{spoiled}.png was changed (photo1, spoiled)",
    }


# ---------------------------------------------------------------- damaged


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no study in .*expected the run folder of an 'impasto study create'"):
        read_study(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"study"', "{}", "\x00", '{"title": 1}'])
def test_what_is_no_study_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ValueError, match=r"study\.json is damaged: ."):
        read_study(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_bytes(b"\xff\xfe\x00garbage")
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
    "a picture too many": lambda told: _first(told, "rated").update(pictures=list(told["stimuli"])[:2]),
    "no picture": lambda told: _first(told, "rated").update(pictures=[]),
    "pictures that are no names": lambda told: _first(told, "rated").update(pictures=[["a"]]),
    "a path as a name": lambda told: told["stimuli"].update({"../../etc/passwd": _stimulus(told)}),
    "a dot as a name": lambda told: told["stimuli"].update({".": _stimulus(told)}),
    "an empty name": lambda told: told["stimuli"].update({"": _stimulus(told)}),
    "an unknown kind": lambda told: _first(told, "rated").update(kind="other"),
    "a rated trial that is a catch": lambda told: _first(told, "rated").update(kind="catch", expected=0),
    "a catch that is rated": lambda told: _first(told, "catch").update(kind="rated"),
    "a catch without an answer": lambda told: _first(told, "catch").update(expected=None),
    "a catch with a third answer": lambda told: _first(told, "catch").update(expected=2),
    "a repeat of itself": lambda told: told["sessions"][0][1].update(kind="repeat", of=1),
    "a repeat of nothing": lambda told: told["sessions"][0][1].update(kind="repeat"),
    "a repeat of the time before": lambda told: told["sessions"][0][1].update(kind="repeat", of=-1),
    "a method too many": lambda told: _stimulus(told).update(method="another"),
    "a method too few": lambda told: told.update(methods=told["methods"][:1]),
    "a key of a trial too many": lambda told: _first(told, "rated").update(extra=1),
    "three pictures at once": lambda told: told["question"].update(pictures=3),
    "two at once where one is shown": lambda told: told["question"].update(pictures=2),
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


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*path, key))


@PICTURES
def test_any_key_removed_or_value_replaced_is_read_or_refused_in_a_sentence(tmp_path: Path, pictures: int) -> None:
    small_study(tmp_path, pictures=pictures, raters=1, trials=3, size=8)
    file = tmp_path / "study.json"
    text = file.read_text()
    refused = 0
    for path in list(_places(json.loads(text))):
        for value in (None, "x", -1, 2.5, [], {}, [[]], KeyError):
            told = json.loads(text)
            node = told
            for key in path[:-1]:
                node = node[key]
            if value is KeyError:
                del node[path[-1]]
            else:
                node[path[-1]] = value
            file.write_text(json.dumps(told))
            try:
                assert isinstance(read_study(tmp_path), Study)
            except ValueError as error:
                refused += 1
                assert str(error).startswith(f"{file} is damaged: ") and "\n" not in str(error)
    assert refused > 200


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


@pytest.mark.parametrize("pictures", [0, 3, "2", None, 1.5])
def test_a_question_shows_one_or_two_pictures(pictures: Any) -> None:
    with pytest.raises(ValueError, match=r"pictures\n  Input should be 1 or 2"):
        Question(text="?", pictures=pictures, answers=("a", "b"))


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
