"""The folder that is packed into: whose it is, and that nobody else writes there."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from impasto.data.layouts import Labelled
from impasto.files import write_text

_RECORD = "pack.json"  # the settings, by which the same pack is known again

Splits = Mapping[str, Sequence[Labelled]]


def shuffled(items: Sequence[Labelled], seed: int) -> list[Labelled]:
    """Shuffle photographs, so that every shard is a mixture."""
    return [items[index] for index in np.random.default_rng(seed).permutation(len(items)).tolist()]


def fingerprint(splits: Splits) -> dict[str, Any]:
    """Return the counts of photographs and a checksum of their names and labels, wherever their folder lies."""
    digest = hashlib.sha256()
    for split, items in splits.items():
        for path, label in items:
            digest.update(f"{split}\0{path.name}\0{label}\n".encode(errors="surrogateescape"))
    return {split: len(items) for split, items in splits.items()} | {"names": digest.hexdigest()[:16]}


@contextmanager
def claimed(output: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Take a folder for this process and this pack: a new or empty one, or that of a pack with the same settings.

    Raises:
        ValueError: it holds something else, a pack with other settings, or another process packs into it.
    """
    from filelock import FileLock, Timeout

    _refuse_other_contents(output, settings)
    output.mkdir(parents=True, exist_ok=True)
    lock = output / ".lock"
    try:
        with FileLock(lock, timeout=0):
            write_text(output / _RECORD, json.dumps(settings, indent=1) + "\n")
            yield
            lock.unlink(missing_ok=True)
    except Timeout as error:
        raise ValueError(f"another process packs into {output}; wait for it, or stop it") from error


def _refuse_other_contents(output: Path, settings: Mapping[str, Any]) -> None:
    record = output / _RECORD
    if record.is_file():
        old, new = (_flat(json.loads(text)) for text in (record.read_text(encoding="utf-8"), json.dumps(settings)))
        changes = [
            f"{key} was {old.get(key)} and is {new.get(key)}" for key in old | new if old.get(key) != new.get(key)
        ]
        if changes:
            raise ValueError(
                f"{output} is a pack with other settings: {', '.join(changes)}; give another output=<folder>"
            )
    elif output.exists() and not (output.is_dir() and all(item.name == ".lock" for item in output.iterdir())):
        what = "holds other files" if output.is_dir() else "is a file"
        raise ValueError(f"{output} {what}; expected output=<a new or empty folder>")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
