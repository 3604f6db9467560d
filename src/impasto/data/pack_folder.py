"""The folder that is packed into: whose it is, which shards are finished, and that nobody else writes there."""

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from impasto.data.shard_index import FILE
from impasto.files import write_text

_SETTINGS = "settings.json"


class PackFolder:
    """Records of an unfinished pack lie in `.pack`; they go when the index is written.

    Args:
        path: the folder.
        settings: of this pack, plain data; the folder belongs to packs with the same ones.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, json.loads(json.dumps(settings))  # as they will be read: keys are text
        self.records = path / ".pack"

    @property
    def finished(self) -> bool:
        """Whether the index is written."""
        return (self.path / FILE).is_file()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Take the folder for this process; what a killed one left half written is removed.

        Raises:
            ValueError: it holds something else, a pack with other settings, or another process packs into it.
        """
        self._check()
        self.records.mkdir(parents=True, exist_ok=True)
        with (self.records / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ValueError(f"another process packs into {self.path}; wait for it, or stop it") from error
            for part in self.path.glob(".*.part.tar"):
                part.unlink()
            write_text(self.records / _SETTINGS, json.dumps(self.settings, indent=1) + "\n")
            yield
        if self.finished:
            shutil.rmtree(self.records, ignore_errors=True)

    @property
    def photographs(self) -> int:
        """How many photographs the finished shards took."""
        found = self.records.glob("*.tar.json")
        return sum(json.loads(file.read_text(encoding="utf-8"))["photographs"] for file in found)

    def record(self, shard: str) -> dict[str, Any] | None:
        """Return what is known of a finished shard; None if it is still to be written."""
        file, written = self._record(shard), self.path / shard
        if not file.is_file() or not written.is_file():
            return None
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return record if written.stat().st_size == record["bytes"] else None

    def keep(self, record: Mapping[str, Any]) -> None:
        """Remember a finished shard."""
        write_text(self._record(record["name"]), json.dumps(record) + "\n")

    def _record(self, shard: str) -> Path:
        return self.records / f"{shard}.json"

    def _check(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; expected output=<a new or empty folder>")
        before = self._before()
        if before is None:
            if self.path.is_dir() and any(item.name != ".pack" for item in self.path.iterdir()):
                raise ValueError(f"{self.path} holds other files; expected output=<a new or empty folder>")
            return
        old, new = _flat(before), _flat(self.settings)
        different = [key for key in old | new if old.get(key) != new.get(key)]
        if different:
            told = ", ".join(f"{key} was {old.get(key)} and is {new.get(key)}" for key in different)
            raise ValueError(f"{self.path} is a pack with other settings: {told}; give another output=<folder>")

    def _before(self) -> dict[str, Any] | None:
        """The settings of the pack that the folder holds."""
        try:
            if self.finished:
                return dict(json.loads((self.path / FILE).read_text(encoding="utf-8"))["settings"])
            if (self.records / _SETTINGS).is_file():
                return dict(json.loads((self.records / _SETTINGS).read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} holds an index that is no pack's ({error!r})") from error
        return None


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
