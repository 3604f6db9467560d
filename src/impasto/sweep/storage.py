"""Where the trials are kept: a database or a journal file of Optuna's, which several workers share."""

import functools
import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar, cast

from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.exc import SQLAlchemyError

from impasto.redaction import without_secrets

log = logging.getLogger(__name__)

Method = TypeVar("Method", bound=Callable[..., Any])

_WAITS = (1.0, 3.0, 10.0, 30.0)  # seconds between attempts
_BEGINNING = b'{"op_code":'  # of a journal


class StorageLostError(OSError):
    """The storage cannot be used; says which, without its password, and why."""

    def __init__(self, name: str, error: BaseException) -> None:
        why = " ".join(str(error.__cause__ or error).split()).split("(Background on this error")[0].strip()[:300]
        super().__init__(f"the storage {without_secrets(name)} cannot be used: {without_secrets(why)}")


def open_storage(name: str) -> BaseStorage:
    """Open the storage, or make it.

    Args:
        name: a URL of SQLAlchemy such as `sqlite:///study.db` or `postgresql://user:password@host/name`, or the path of
            a journal file, which also does on a file system that machines share.

    Raises:
        StorageLostError: it cannot be used; says why.
    """
    try:
        if "://" not in name:
            return _journal(Path(name).expanduser())
        options: dict[str, Any] = {"pool_pre_ping": True}
        lock: AbstractContextManager[object] = nullcontext()
        if name.startswith("sqlite:"):
            path = Path(name.removeprefix("sqlite:///"))
            path.parent.mkdir(parents=True, exist_ok=True)
            options, lock = {"connect_args": {"timeout": 60}}, FileLock(f"{path}.lock")
        with lock:  # two that make SQLite's tables at the same time would fail
            return get_storage(RDBStorage(name, engine_kwargs=options))  # which keeps ended trials in memory
    except (SQLAlchemyError, StorageInternalError, ImportError, ValueError, OSError) as error:
        raise StorageLostError(name, error) from error


def _journal(path: Path) -> BaseStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        if not _BEGINNING.startswith(file.read(len(_BEGINNING))):
            raise ValueError(f"no journal file of Optuna, which begins with {_BEGINNING.decode()}")
    return JournalStorage(JournalFileBackend(str(path), lock_obj=_WholeLines(str(path))))


class _WholeLines(JournalFileOpenLock):
    """The lock of a journal, which cuts off the part of a line that a full disk or a power cut has left.

    The next line would be written behind it, and make the journal unreadable.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = Path(path)

    def acquire(self) -> bool:
        """Take the lock; the last line is whole then."""
        taken = super().acquire()
        with self.path.open("rb+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_CUR)
                if file.read() != b"\n":
                    file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
        return taken


def patient(method: Method) -> Method:
    """Repeat a method where its storage cannot be reached for a moment; after most of a minute, StorageLostError.

    The object has a `storage_name`, and the method done again does no harm.
    """

    @functools.wraps(method)
    def again(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (whatever the method has)
        for wait in (*_WAITS, None):
            try:
                return method(self, *args, **kwargs)
            except (StorageInternalError, SQLAlchemyError, OSError) as error:
                lost = error if isinstance(error, StorageLostError) else StorageLostError(self.storage_name, error)
                if wait is None or lost is error:
                    raise lost from error
                log.warning("%s; trying again in %.0f s", lost, wait)
                time.sleep(wait)
        raise AssertionError("unreachable")

    return cast(Method, again)
