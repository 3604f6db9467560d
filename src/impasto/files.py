"""Files that are whole or absent: written under a temporary name, then renamed."""

import hashlib
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from impasto.redaction import without_secrets

log = logging.getLogger(__name__)

_UMASK = os.umask(0o022)
os.umask(_UMASK)  # the only way to ask for it is to set it


@contextmanager
def whole_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Write a file that appears only when it is complete; its folder is made.

    The caller writes to the temporary name that it is given, beside `path` and with the same suffix; on leaving, that
    file is flushed to disk and renamed. If anything is raised in between, a kill included, `path` is as it was before.
    What is private is readable by its owner only, from the first byte on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{hash(path.name) & 0xFFFFFFFF:08x}.{os.getpid()}.part{path.suffix}")
    try:
        if private:
            temporary.touch(mode=0o600)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if not private:
            temporary.chmod(0o666 & ~_UMASK)  # safetensors makes its files readable to their owner only
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path, pid: int) -> None:
    """Remove the temporary files that a process, which has ended, left below a folder when it was killed; no others."""
    for path in list(folder.rglob(f".{'[0-9a-f]' * 8}.{pid}.part*")):
        path.unlink(missing_ok=True)


def cache_file(name: str) -> Path:
    """Return the file in which something is kept that can be made again: below $XDG_CACHE_HOME or ~/.cache.

    Where it is not there and cannot be written, it is in a folder that lasts as long as this process.
    """
    try:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "impasto" / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=path.parent):
                return path
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody's home
        return Path(_replaced_cache(str(error)).name) / name
    return path


@cache
def _replaced_cache(error: str) -> "TemporaryDirectory[str]":
    log.warning("nothing is kept for the next time: %s; XDG_CACHE_HOME=<folder> names another cache", error)
    return TemporaryDirectory(prefix="impasto_")


def short_name(name: str) -> str:
    """Return a name to which a number and a suffix can be added, where files' names hold 255 bytes."""
    data = os.fsencode(name)
    return name if len(data) <= 200 else f"{data[:190].decode(errors='ignore')}_{zlib.crc32(data):08x}"


def write_text(path: Path, text: str) -> None:
    """Write a text file whole (UTF-8); readable by its owner only where a secret is in it."""
    with whole_file(path, private=text != without_secrets(text)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
