"""Photographs into shards that litdata streams; interrupted anywhere, the same call goes on where it was."""

import hashlib
import io
import json
import multiprocessing
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from impasto.data.layouts import Labelled
from impasto.data.shard_index import INDEX, SPLITS, Sample, checksum
from impasto.files import write_text
from impasto.images import decode_image, to_uint8

_SEEN_AT = 64  # pixels in which a photograph is decoded to see whether it is sound
_RECORD = "pack.json"  # the settings, by which the same pack is known again
_LEFT_OUT = "left_out.txt"

Splits = Mapping[str, Sequence[Labelled]]
_METHOD = multiprocessing.get_context()  # how this system starts processes


class Packing(NamedTuple):
    """How photographs are packed.

    Attributes:
        classes: names of the scenes; none where they are not known.
        shorter_side: pixels to which larger photographs are made smaller; None keeps all files as they are.
        shard_bytes: a shard is full when its photographs have as many.
        workers: processes that read and write.
        progress: is called with how many photographs are done since the start.
    """

    classes: Sequence[str]
    shorter_side: int | None
    shard_bytes: int
    workers: int
    progress: Callable[[int], None]


def shuffled(items: Sequence[Labelled], seed: int) -> list[Labelled]:
    """Shuffle photographs, so that every shard is a mixture."""
    return [items[index] for index in np.random.default_rng(seed).permutation(len(items)).tolist()]


def fingerprint(splits: Splits) -> dict[str, Any]:
    """Return the counts of photographs and a checksum of their names and labels, wherever their folder lies."""
    paths = [os.path.abspath(item.path) for items in splits.values() for item in items]  # noqa: PTH100 (asks no disk)
    root = os.path.commonpath(paths) if paths else ""
    digest = hashlib.sha256()
    for split, items in splits.items():
        for item in items:
            line = f"{split}\0{os.path.relpath(item.path, root)}\0{item.label}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return {split: len(items) for split, items in splits.items()} | {"names": digest.hexdigest()[:16]}


def is_packed(output: Path) -> bool:
    """Whether a folder holds a finished pack."""
    return all(_is_finished(output / split) for split in SPLITS)


@contextmanager
def claimed(output: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Take a folder for this process and this pack.

    Args:
        output: a new or empty folder, or that of a pack with the same settings.
        settings: of this pack, plain data.

    Raises:
        ValueError: it holds something else, a pack with other settings, or another process packs into it.
    """
    from filelock import FileLock, Timeout

    settings = json.loads(json.dumps(settings))  # as they will be read: keys are text
    _check(output, settings)
    output.mkdir(parents=True, exist_ok=True)
    lock = output / ".lock"
    try:
        with FileLock(lock, timeout=0):
            write_text(output / _RECORD, json.dumps(settings, indent=1) + "\n")
            yield
            lock.unlink(missing_ok=True)
    except Timeout as error:
        raise ValueError(f"another process packs into {output}; wait for it, or stop it") from error


def _check(output: Path, settings: Mapping[str, Any]) -> None:
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file; expected output=<a new or empty folder>")
    if not (output / _RECORD).is_file():
        if output.is_dir() and any(item.name != ".lock" for item in output.iterdir()):
            raise ValueError(f"{output} holds other files; expected output=<a new or empty folder>")
        return
    old, new = _flat(json.loads((output / _RECORD).read_text(encoding="utf-8"))), _flat(settings)
    different = [key for key in old | new if old.get(key) != new.get(key)]
    if different:
        changes = ", ".join(f"{key} was {old.get(key)} and is {new.get(key)}" for key in different)
        raise ValueError(f"{output} is a pack with other settings: {changes}; give another output=<folder>")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def pack(splits: Splits, output: Path, packing: Packing) -> dict[str, list[str]]:
    """Write the shards that are not there yet.

    Args:
        splits: "train" and "val" with their photographs, in the order in which they are packed.
        output: gets a folder for each; claimed by this process.
        packing: how.

    Returns:
        What was left out of each split, and why.

    Raises:
        ValueError: not one photograph of a split can be read.
        OSError: the folder cannot be written, or the disk is full.
    """
    left_out: dict[str, list[str]] = {}
    done = 0
    for split, items in splits.items():
        if not _is_finished(output / split):
            for count in _write(items, output / split, packing):
                packing.progress(done + count)
        left_out[split] = _left_out(output / split)
        if len(left_out[split]) == len(items):
            raise ValueError(f"none of the {len(items)} photographs in {split} can be read: {left_out[split][0]}")
        _finish(output / split, packing.classes, len(items))
        done += len(items)
        packing.progress(done)
    return left_out


def _left_out(folder: Path) -> list[str]:
    """Read what was left out; a photograph that was read twice, for an interruption, stands there twice."""
    file = folder / _LEFT_OUT
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return list(dict(line.split(" ", 1) for line in lines).values())


def _is_finished(folder: Path) -> bool:
    file = folder / INDEX
    return file.is_file() and "classes" in json.loads(file.read_text(encoding="utf-8"))


def _finish(folder: Path, classes: Sequence[str], count: int) -> None:
    """Add the classes to litdata's index, which says that the split is whole."""
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    packed = sum(chunk["chunk_size"] for chunk in index["chunks"])
    if packed != count:
        (folder / INDEX).unlink()
        raise OSError(f"{folder} has {packed} of {count} photographs: a process that wrote it was ended; pack again")
    write_text(folder / INDEX, json.dumps(index | {"classes": list(classes)}) + "\n")


def _write(items: Sequence[Labelled], folder: Path, packing: Packing) -> Iterator[int]:
    """Run litdata in a process of its own, whose signals it takes; yield how many photographs are done."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / INDEX).is_file():  # whole, but for the classes
        return
    counter = _METHOD.Value("q", 0)
    reading = _Reading(items, packing.shorter_side, folder / _LEFT_OUT, counter)
    ours, theirs = _METHOD.Pipe(duplex=False)
    process = _METHOD.Process(target=_optimize, args=(reading, folder, packing.shard_bytes, packing.workers, theirs))
    process.start()
    theirs.close()
    try:
        while process.is_alive():
            process.join(timeout=0.1)
            yield counter.value
    finally:
        process.terminate()
        process.join()
    if process.exitcode:
        problem = ours.recv() if ours.poll() else f"the process that wrote it ended with {process.exitcode}"
        raise OSError(f"{folder} cannot be packed: {problem}")


def _optimize(reading: "_Reading", folder: Path, shard_bytes: int, workers: int, problem: Any) -> None:  # noqa: ANN401
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()  # also after its kill -9
    with tempfile.TemporaryDirectory(prefix="impasto_") as scratch, open(os.devnull, "w") as nowhere:  # noqa: PTH123
        # litdata empties these folders; its own choice is /tmp/chunks and /tmp/data, whoever they belong to.
        os.environ["DATA_OPTIMIZER_CACHE_FOLDER"] = f"{scratch}/chunks"
        os.environ["DATA_OPTIMIZER_DATA_CACHE_FOLDER"] = f"{scratch}/data"
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        try:
            from litdata import optimize

            optimize(
                reading,
                list(range(len(reading.items))),
                str(folder),
                chunk_bytes=shard_bytes,
                num_workers=max(1, workers),
                reorder_files=False,
                use_checkpoint=True,
                start_method=_METHOD.get_start_method(),
                verbose=False,
            )
        except Exception as error:
            problem.send(str(error).strip().strip(".").splitlines()[-1])
            sys.exit(1)


def _end_with(parent: Any) -> None:  # noqa: ANN401
    parent.join()
    os._exit(1)


class _Reading:
    """Reads photographs in litdata's processes."""

    def __init__(self, items: Sequence[Labelled], shorter_side: int | None, left_out: Path, counter: Any) -> None:  # noqa: ANN401
        self.items, self.shorter_side, self.left_out, self.counter = items, shorter_side, left_out, counter

    def __call__(self, index: int) -> Sample:
        parent = multiprocessing.parent_process()
        if parent is None or not parent.is_alive():  # killed; another may have begun to write these shards
            os._exit(1)
        torch.set_num_threads(1)  # after a fork, OpenMP waits forever for the threads of the process that was forked
        path, label = self.items[index]
        name = path.name.encode(errors="backslashreplace").decode()
        try:
            content = path.read_bytes()
            content = self._smaller(content, path.name) or content
        except (OSError, ValueError) as error:
            name = f"{name}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
            content = b""  # its place stays empty, for litdata counts places to go on after an interruption
            with self.left_out.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{index} {name}\n")
        with self.counter.get_lock():
            self.counter.value += 1
        return Sample(content=content, label=label, name=name, checksum=checksum(content, label, name))

    def _smaller(self, content: bytes, name: str) -> bytes | None:
        """Encode a photograph anew if it is too large; in any case see whether it is sound."""
        image = decode_image(content, name, at_least=self.shorter_side or _SEEN_AT)
        height, width = image.shape[-2:]
        with Image.open(io.BytesIO(content)) as opened:
            whole = min(opened.size)
        if self.shorter_side is None or whole <= self.shorter_side:
            return None
        scale = self.shorter_side / min(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        resized = functional.interpolate(image[None], size=size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        with io.BytesIO() as file:
            # Colours at full resolution, for they are what a colorizer learns.
            Image.fromarray(to_uint8(resized)).save(file, "JPEG", quality=95, subsampling=0)
            return file.getvalue()
