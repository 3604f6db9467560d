"""Where the trials are kept: a database or a journal file that several workers share."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from impasto.redaction import without_secrets

log = logging.getLogger(__name__)

Value = TypeVar("Value")

_WAITS = (1.0, 3.0, 10.0, 30.0)  # seconds between attempts
_BEGINNING = b'{"op_code":'  # of a journal


class _WholeLines(JournalFileOpenLock):
    """The lock of a journal; whoever takes it, to write, finds whole lines.

    A full disk or a power cut leaves a part of a line. The next line would be written behind it, and make the journal
    unreadable.

    Args:
        path: of the journal.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = Path(path)

    def acquire(self) -> bool:
        """Take the lock, and cut off a last line that was not finished."""
        taken = super().acquire()
        with self.path.open("rb+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_CUR)
                if file.read() != b"\n":
                    file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
        return taken


class StorageLostError(OSError):
    """The storage cannot be reached; says which, without its password."""


def storage_name(told: str | None, folder: Path) -> str:
    """Return the storage's URL or file; the folder's own database where none is told."""
    return told or f"sqlite:///{folder / 'study.db'}"


def shown(name: str) -> str:
    """Return a storage's name without the password in it."""
    return without_secrets(name)


def open_storage(name: str) -> BaseStorage:
    """Open the storage, or make it.

    Args:
        name: a URL of SQLAlchemy such as `sqlite:///study.db` or `postgresql://user:password@host/name`, or the path of
            a journal file, which also does on a file system that machines share.

    Raises:
        StorageLostError: it cannot be reached.
        ValueError: no such kind of database, a driver that is not installed, or a file that is no journal.
    """
    if "://" not in name:
        path = Path(name).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+") as file:
                file.seek(0)
                if not _BEGINNING.startswith(file.read(len(_BEGINNING))):
                    raise ValueError(f"it does not begin with {_BEGINNING.decode()}")
            return JournalStorage(JournalFileBackend(str(path), lock_obj=_WholeLines(str(path))))
        except ValueError as error:
            raise ValueError(f"storage={name} is no journal file of Optuna: {_line(error)}") from error
        except OSError as error:
            raise _lost(name, error) from error
    try:
        if name.startswith("sqlite:///"):
            Path(name.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        waits = {"connect_args": {"timeout": 60}} if name.startswith("sqlite:") else {"pool_pre_ping": True}
        return RDBStorage(name, engine_kwargs=waits)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:  # ValueError: a port that is no number
        raise ValueError(
            f"storage={shown(name)} is no database that SQLAlchemy knows; expected sqlite:///<file>, "
            "postgresql://<user>@<host>/<name>, or the path of a journal file"
        ) from error
    except ImportError as error:
        package = error.name or make_url(name).get_driver_name()  # Optuna's own error has no name
        raise ValueError(f"storage={shown(name)} needs the Python package {package}; install it, then go on") from error
    except (SQLAlchemyError, StorageInternalError, OSError) as error:
        raise _lost(name, error) from error


def insist(name: str, act: Callable[[], Value]) -> Value:
    """Do something with the storage, again where it cannot be reached for a moment.

    Args:
        name: of the storage.
        act: what to do; done again, it must do no harm.

    Raises:
        StorageLostError: it could not be reached for most of a minute.
    """
    for wait in (*_WAITS, None):
        try:
            return act()
        except (StorageInternalError, SQLAlchemyError, OSError) as error:
            if wait is None or isinstance(error, StorageLostError):
                raise _lost(name, error) from error
            log.warning(
                "the storage %s cannot be reached (%s); trying again in %.0f s", shown(name), _line(error), wait
            )
            time.sleep(wait)
    raise AssertionError("unreachable")


def _lost(name: str, error: Exception) -> StorageLostError:
    if isinstance(error, StorageLostError):
        return error
    return StorageLostError(f"the storage {shown(name)} cannot be reached: {_line(error.__cause__ or error)}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()).split("(Background on this error")[0].strip()[:300]
