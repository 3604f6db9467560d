"""Laws of the answers: in order, once, and on disk before they are acknowledged, whoever writes or is killed."""

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from impasto.study import answers as answers_module
from impasto.study.answers import Answer, Answers, read_answers

# Writes answers of raters in turn, and says each position that was taken.
WRITER = """
import sys
from pathlib import Path
from impasto.study.answers import Answers
answers = Answers(Path(sys.argv[1]))
first, raters, count = map(int, sys.argv[2:])
print("ready", flush=True)
sys.stdin.readline()
for position in range(count):
    for rater in range(first, first + raters):
        if answers.add(rater, position, position % 2, milliseconds=position):
            print(rater, position, flush=True)
"""


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    return Answers(tmp_path)


def _start(folder: Path, *, first: int, raters: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(raters), str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


# ---------------------------------------------------------------- order


def test_an_answer_is_read_as_it_was_given(tmp_path: Path, answers: Answers) -> None:
    assert answers.add(3, 0, 1, milliseconds=1234, pauses=2)
    assert answers.add(3, 1, 0, milliseconds=5, simulated=True)
    first, second = read_answers(tmp_path)
    assert first._replace(received="") == Answer(3, 0, 1, 1234, 2, "", simulated=False)
    assert second._replace(received="") == Answer(3, 1, 0, 5, 0, "", simulated=True)
    assert first.simulated is False and second.simulated is True
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.received)


def test_answers_come_by_rater_and_position(tmp_path: Path, answers: Answers) -> None:
    for rater, position in [(2, 0), (1, 0), (2, 1), (1, 1), (10, 0), (2, 2)]:
        assert answers.add(rater, position, 0, milliseconds=1)
    found = [(answer.rater, answer.position) for answer in read_answers(tmp_path)]
    assert found == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (10, 0)]
    assert [answers.count(rater) for rater in (1, 2, 3, 10)] == [2, 3, 0, 1]


@pytest.mark.parametrize("position", [-1, 0, 1, 3, 10**9])
def test_only_the_next_answer_is_taken(tmp_path: Path, answers: Answers, position: int) -> None:
    for place in (0, 1):
        answers.add(1, place, 1, milliseconds=1)
    before = read_answers(tmp_path)
    assert not answers.add(1, position, 0, milliseconds=2)
    assert read_answers(tmp_path) == before
    assert answers.add(1, 2, 0, milliseconds=2)


@pytest.mark.parametrize("answer", [2, -1])
def test_there_are_two_answers(tmp_path: Path, answers: Answers, answer: int) -> None:
    with pytest.raises(ValueError, match="CHECK constraint failed"):
        answers.add(1, 0, answer, milliseconds=1)
    assert read_answers(tmp_path) == []


def test_nobody_has_answered_a_new_study(tmp_path: Path) -> None:
    assert read_answers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    Answers(tmp_path)
    assert read_answers(tmp_path) == []


# ---------------------------------------------------------------- at once


@pytest.mark.slow
def test_of_two_processes_with_the_same_answers_each_is_heard_once(tmp_path: Path) -> None:
    processes = [_start(tmp_path, first=1, raters=3, count=60) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [line for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(said) == len(set(said)) == len(read_answers(tmp_path))
    assert {f"{answer.rater} {answer.position}" for answer in read_answers(tmp_path)} == set(said)
    for rater in (1, 2, 3):
        positions = [answer.position for answer in read_answers(tmp_path) if answer.rater == rater]
        assert positions == list(range(len(positions)))


@pytest.mark.slow
@pytest.mark.parametrize("acknowledged", [1, 7, 60])
def test_every_acknowledged_answer_outlives_a_kill(tmp_path: Path, acknowledged: int) -> None:
    process = _start(tmp_path, first=1, raters=1, count=100_000)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    said = [process.stdout.readline() for _ in range(acknowledged)]
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    complete = [line for line in said if line.endswith("\n")]
    found = read_answers(tmp_path)
    assert acknowledged <= len(complete) <= len(found) <= len(complete) + 1
    assert [answer.position for answer in found] == list(range(len(found)))
    opened = Answers(tmp_path)
    assert opened.count(1) == len(found)
    assert opened.add(1, len(found), 1, milliseconds=1)


def test_answers_are_flushed_to_the_disk(answers: Answers) -> None:
    with answers_module._opened(answers.path) as connection:
        pragmas = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["delete", 3]  # 3: EXTRA


def test_a_copy_of_the_one_file_has_every_answer_while_others_are_written(tmp_path: Path, answers: Answers) -> None:
    for position in range(3):
        answers.add(1, position, 1, milliseconds=1)
    assert [path.name for path in tmp_path.iterdir()] == ["answers.sqlite"]
    (tmp_path / "copy").mkdir()
    shutil.copy(answers.path, tmp_path / "copy")
    assert read_answers(tmp_path / "copy") == read_answers(tmp_path)


def test_answers_in_a_log_that_an_earlier_version_left_are_taken_in(tmp_path: Path) -> None:
    Answers(tmp_path)
    with closing(sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)) as earlier:
        earlier.execute("PRAGMA journal_mode=WAL")
        earlier.execute("INSERT INTO answers VALUES (1, 0, 1, 900, 0, '', 0)")
        (tmp_path / "killed").mkdir()
        for path in tmp_path.glob("answers.sqlite*"):
            shutil.copy(path, tmp_path / "killed")
    for use in (Answers, read_answers):
        use(tmp_path / "killed")
        assert [path.name for path in (tmp_path / "killed").iterdir()] == ["answers.sqlite"]
        assert len(read_answers(tmp_path / "killed")) == 1


# ---------------------------------------------------------------- damaged


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\x00" + b"\xff" * 4096], ids=["text", "pages"])
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "answers.sqlite"
    file.write_bytes(content)
    for use in (Answers, read_answers):
        with pytest.raises(ValueError, match=r"answers\.sqlite cannot be used for answers: \w"):
            use(tmp_path)
    assert file.read_bytes() == content


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none/answers\.sqlite cannot be used for answers: unable to open"):
        Answers(tmp_path / "none")


def test_an_empty_file_of_a_start_that_was_killed_becomes_a_database_but_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").touch()
    with pytest.raises(ValueError, match="no such table: answers"):
        read_answers(tmp_path)
    Answers(tmp_path)
    assert read_answers(tmp_path) == []


def test_a_table_of_another_kind_is_refused_before_raters_come(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "answers.sqlite")) as connection:
        connection.execute("CREATE TABLE answers (name TEXT)")
        connection.commit()
    with pytest.raises(ValueError, match="no such column: rater"):
        Answers(tmp_path)
