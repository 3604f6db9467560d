"""The answers of a study: SQLite, each on disk before the next picture is shown."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    rater INTEGER NOT NULL,
    position INTEGER NOT NULL,
    answer INTEGER NOT NULL CHECK (answer IN (0, 1)),
    milliseconds INTEGER NOT NULL,
    pauses INTEGER NOT NULL,
    received TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    simulated INTEGER NOT NULL,
    PRIMARY KEY (rater, position)
) STRICT, WITHOUT ROWID
"""
# One statement, so that two tabs, two servers or a replay cannot both be the next.
_INSERT = """
INSERT INTO answers (rater, position, answer, milliseconds, pauses, simulated)
SELECT :rater, :position, :answer, :milliseconds, :pauses, :simulated
WHERE :position = (SELECT count(*) FROM answers WHERE rater = :rater)
"""
_BUSY_SECONDS = 10


class Answer(NamedTuple):
    """What a rater said.

    Attributes:
        rater: their number, from 1.
        position: of the trial in their session, from 0.
        answer: 0 or 1.
        milliseconds: from the picture's appearance to the answer, pauses left out, as the browser measured them.
        pauses: how often the rater paused in between.
        received: when the server had it, UTC.
        simulated: whether no human said it.
    """

    rater: int
    position: int
    answer: int
    milliseconds: int
    pauses: int
    received: str
    simulated: bool


_COLUMNS = ", ".join(Answer._fields)


class Answers:
    """The answers in `answers.sqlite`; safe for several threads and several processes.

    Args:
        folder: of the study.
        study: its `id`, which the file carries from then on; 0 takes a file of any study.

    Raises:
        ValueError: the file is no database of answers, or of another study.
    """

    def __init__(self, folder: Path, study: int = 0) -> None:
        self.path = folder / "answers.sqlite"
        self._lock = threading.Lock()
        try:
            self._connection = _open(self.path, study)
        except sqlite3.DatabaseError as error:
            raise ValueError(_said(self.path, error)) from error

    def count(self, rater: int) -> int:
        """Return how many trials a rater has answered, which is the position of the next one."""
        with self._lock:
            row = self._connection.execute("SELECT count(*) FROM answers WHERE rater = ?", (rater,)).fetchone()
        return int(row[0])

    def add(
        self, rater: int, position: int, answer: int, *, milliseconds: int, pauses: int = 0, simulated: bool = False
    ) -> bool:
        """Write an answer to disk.

        Args:
            rater: their number.
            position: of the trial.
            answer: 0 or 1.
            milliseconds: it took.
            pauses: meanwhile.
            simulated: whether no human said it.

        Returns:
            False, with nothing changed, where the trial is not the rater's next.
        """
        row = {"rater": rater, "position": position, "answer": answer, "milliseconds": milliseconds}
        row |= {"pauses": pauses, "simulated": int(simulated)}
        with self._lock:
            return self._connection.execute(_INSERT, row).rowcount == 1

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()


def _open(path: Path, study: int) -> sqlite3.Connection:
    is_new = not path.exists() or not path.stat().st_size
    # Autocommit: every statement is a transaction.
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")  # no WAL beside it: a copy of the one file has all answers
        connection.execute("PRAGMA synchronous=EXTRA")  # an answer survives a power cut, not only a kill
        if is_new:
            connection.execute(_TABLE)
        if not _study_of(connection, path, study):
            connection.execute(f"PRAGMA user_version = {study}")
    except (sqlite3.DatabaseError, ValueError):
        connection.close()
        raise
    return connection


def _study_of(connection: sqlite3.Connection, path: Path, study: int) -> int:
    """Return whose answers these are, 0 where that is not written; refuse another study's, and what are none."""
    connection.execute(f"SELECT {_COLUMNS} FROM answers LIMIT 0")
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found and study and found != study:
        raise ValueError(f"{path} has the answers of another study than the study.json beside it")
    return found


def read_answers(folder: Path, study: int = 0) -> list[Answer]:
    """Return all answers so far, by rater and position; none where nobody has begun.

    Args:
        folder: of the study.
        study: its `id`; 0 reads the answers of any.

    Raises:
        ValueError: the file is no database of answers, or of another study.
    """
    path = folder / "answers.sqlite"
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            _study_of(connection, path, study)
            rows = connection.execute(f"SELECT {_COLUMNS} FROM answers ORDER BY rater, position").fetchall()
    except sqlite3.DatabaseError as error:
        raise ValueError(_said(path, error)) from error
    return [Answer(**dict(zip(Answer._fields, row, strict=True)) | {"simulated": bool(row[-1])}) for row in rows]


def _said(path: Path, error: sqlite3.DatabaseError) -> str:
    if "locked" in str(error) or "unable to open" in str(error):
        return f"{path} cannot be opened: {error}"
    return f"{path} is no database of answers: {error}"
