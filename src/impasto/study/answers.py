"""The answers of a study: SQLite, each on disk before the next picture is shown."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
_BUSY_SECONDS = 10  # for another thread or process


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
    """The answers in `answers.sqlite` in the folder of a study; safe for several threads and several processes.

    Raises:
        ValueError: the file is no database of answers, or cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "answers.sqlite"
        with _opened(self.path) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # no WAL: a copy of the one file has all answers
            connection.execute(_TABLE)
            connection.execute(f"SELECT {_COLUMNS} FROM answers LIMIT 0")

    def count(self, rater: int) -> int:
        """Return how many trials a rater has answered, which is the position of the next one."""
        with _opened(self.path) as connection:
            found = connection.execute("SELECT count(*) FROM answers WHERE rater = ?", (rater,))
            return int(found.fetchone()[0])

    def add(
        self, rater: int, position: int, answer: int, *, milliseconds: int, pauses: int = 0, simulated: bool = False
    ) -> bool:
        """Write an answer to disk, its values as in `Answer`.

        Returns:
            False, with nothing changed, where the trial is not the rater's next.

        Raises:
            ValueError: the disk does not answer, or is full.
        """
        row = {"rater": rater, "position": position, "answer": answer, "milliseconds": milliseconds}
        with _opened(self.path) as connection:
            return connection.execute(_INSERT, row | {"pauses": pauses, "simulated": int(simulated)}).rowcount == 1


def read_answers(folder: Path) -> list[Answer]:
    """Return all answers so far, by rater and position; what is refused is as of `Answers`."""
    path = folder / "answers.sqlite"
    if not path.is_file():
        return []
    with _opened(path) as connection:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM answers ORDER BY rater, position").fetchall()
    return [Answer(*row)._replace(simulated=bool(row[-1])) for row in rows]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file; without an isolation level every statement is a transaction."""
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=EXTRA")  # an answer survives a power cut, not only a kill
            yield connection
    except sqlite3.Error as error:
        raise ValueError(f"{path} cannot be used for answers: {error}") from error
