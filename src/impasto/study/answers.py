"""The answers of a study: SQLite, each on disk before the next picture is shown."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

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
_BUSY_SECONDS = 10  # for another process
_TURN_SECONDS = 5  # for another thread, after which the disk is taken not to answer


class Answer(NamedTuple):
    """What a rater said."""

    rater: int  # their number, from 1
    position: int  # of the trial in their session, from 0
    answer: int  # 0 or 1
    milliseconds: int  # from the picture's appearance to the answer, pauses left out, as the browser measured them
    pauses: int  # how often the rater paused in between
    received: str  # when the server had it, UTC
    simulated: bool  # whether no human said it


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
        self._turn = threading.Lock()
        is_new = not self.path.exists() or not self.path.stat().st_size
        with _connected(self.path, keep=True) as self._connection:
            self._connection.execute("PRAGMA journal_mode=DELETE")  # no WAL: a copy of the one file has all answers
            self._connection.execute("PRAGMA synchronous=EXTRA")  # an answer survives a power cut, not only a kill
            if is_new:
                self._connection.execute(_TABLE)
            if not _study_of(self._connection, study):
                self._connection.execute(f"PRAGMA user_version = {study}")

    def count(self, rater: int) -> int:
        """Return how many trials a rater has answered, which is the position of the next one."""
        return int(self._run("SELECT count(*) FROM answers WHERE rater = ?", (rater,)).fetchone()[0])

    def add(
        self, rater: int, position: int, answer: int, *, milliseconds: int, pauses: int = 0, simulated: bool = False
    ) -> bool:
        """Write an answer to disk, its values as in `Answer`.

        Returns:
            False, with nothing changed, where the trial is not the rater's next.

        Raises:
            OSError: the disk does not answer.
        """
        row = {"rater": rater, "position": position, "answer": answer, "milliseconds": milliseconds}
        return self._run(_INSERT, row | {"pauses": pauses, "simulated": int(simulated)}).rowcount == 1

    def _run(self, statement: str, values: Any) -> sqlite3.Cursor:  # noqa: ANN401 (as sqlite3 takes them)
        """Run a statement, which is a transaction; threads take turns, as SQLite would have them."""
        if not self._turn.acquire(timeout=_TURN_SECONDS):
            raise TimeoutError(f"{self.path} does not answer")
        try:
            return self._connection.execute(statement, values)
        finally:
            self._turn.release()

    def close(self) -> None:
        """Give the file back."""
        with self._turn:
            self._connection.close()


def read_answers(folder: Path, study: int = 0) -> list[Answer]:
    """Return all answers so far, by rater and position; `study` and what is refused are as of `Answers`."""
    path = folder / "answers.sqlite"
    if not path.is_file():
        return []
    with _connected(path) as connection:
        _study_of(connection, study)
        rows = connection.execute(f"SELECT {_COLUMNS} FROM answers ORDER BY rater, position").fetchall()
    return [Answer(*row)._replace(simulated=bool(row[-1])) for row in rows]


@contextmanager
def _connected(path: Path, *, keep: bool = False) -> Iterator[sqlite3.Connection]:
    """Open a file, for longer than the block where it shall be kept; what is no database is refused by name."""
    connection = None
    try:
        # No isolation level: every statement is a transaction.
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        yield connection
    except (sqlite3.DatabaseError, ValueError) as error:
        keep = False
        raise ValueError(f"{path} cannot be read as answers: {error}") from error
    finally:
        if connection is not None and not keep:
            connection.close()


def _study_of(connection: sqlite3.Connection, study: int) -> int:
    """Return whose answers these are, 0 where that is not written; refuse another study's, and what are none."""
    connection.execute(f"SELECT {_COLUMNS} FROM answers LIMIT 0")
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found and study and found != study:
        raise ValueError("they are those of another study than the study.json beside it")
    return found
