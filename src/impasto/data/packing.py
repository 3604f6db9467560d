"""Photographs into shards that litdata streams; interrupted anywhere, the same call goes on where it was."""

import io
import json
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from PIL import Image

from impasto.data.layouts import Labelled
from impasto.data.pack_folder import Splits
from impasto.data.shard_index import INDEX, SPLITS, Sample, checksum
from impasto.files import write_text
from impasto.images import read_image, resize, to_uint8

_LEFT_OUT = "left_out.jsonl"
_SCRATCH = ".scratch"
_SEEN_AT = 64  # pixels in which a photograph is decoded to see whether it is sound
_METHOD = multiprocessing.get_context()  # how this system starts processes


class Packing(NamedTuple):
    """How photographs are packed."""

    classes: Sequence[str]  # names of the scenes; none where they are not known
    shorter_side: int | None  # pixels to which larger photographs are made smaller; None keeps all files as they are
    shard_bytes: int  # a shard is full when its photographs have as many
    workers: int  # processes that read and write
    progress: Callable[[int], None]  # is called with how many photographs are done since the start


def is_packed(output: Path) -> bool:
    """Whether a folder holds a finished pack."""
    files = [output / split / INDEX for split in SPLITS]
    return all(file.is_file() and "classes" in json.loads(file.read_text(encoding="utf-8")) for file in files)


def pack(splits: Splits, output: Path, packing: Packing) -> dict[str, list[str]]:
    """Write the shards that are not there yet; return what was left out of each split, and why.

    Args:
        splits: "train" and "val" with their photographs, in the order in which they are packed.
        output: gets a folder for each; claimed by this process.
        packing: how.

    Raises:
        ValueError: not one photograph of a split can be read.
        OSError: the folder cannot be written, or the disk is full.
    """
    left_out: dict[str, list[str]] = {}
    done = 0
    for split, items in splits.items():
        folder = output / split
        if not (folder / INDEX).is_file():
            _write(items, folder, packing, before=done)
        left_out[split] = _left_out(folder)
        if len(left_out[split]) == len(items):
            raise ValueError(f"none of the {len(items)} photographs in {split} can be read: {left_out[split][0]}")
        _finish(folder, packing.classes, len(items))
        done += len(items)
        packing.progress(done)
    return left_out


def _left_out(folder: Path) -> list[str]:
    """Read what was left out; a photograph that was read twice, for an interruption, stands there twice."""
    file = folder / _LEFT_OUT
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return list(dict(map(json.loads, lines)).values())


def _finish(folder: Path, classes: Sequence[str], count: int) -> None:
    """Add the classes to litdata's index, which says that the split is whole."""
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    packed = sum(chunk["chunk_size"] for chunk in index["chunks"])
    if packed != count:
        (folder / INDEX).unlink()
        raise OSError(f"{folder} has {packed} of {count} photographs: a process that wrote it was ended; pack again")
    write_text(folder / INDEX, json.dumps(index | {"classes": list(classes)}) + "\n")


def _write(items: Sequence[Labelled], folder: Path, packing: Packing, *, before: int) -> None:
    """Run litdata in a process of its own, whose signals it takes, and whose output is not wanted."""
    import litdata  # noqa: F401 (its absence is found before anything is begun)

    folder.mkdir(parents=True, exist_ok=True)
    counter = _METHOD.Value("q", 0)
    reading = _Reading(items, packing.shorter_side, folder / _LEFT_OUT, counter)
    ours, theirs = _METHOD.Pipe(duplex=False)
    process = _METHOD.Process(target=_optimize, args=(reading, folder, packing.shard_bytes, packing.workers, theirs))
    process.start()
    theirs.close()
    family = _family(process.pid)
    try:
        while process.is_alive():
            process.join(timeout=0.2)
            family = _family(process.pid) or family
            packing.progress(before + counter.value)
    finally:
        _kill(_family(process.pid) or family)  # its own processes, too, which would wait for it forever
        process.join()
        shutil.rmtree(folder / _SCRATCH, ignore_errors=True)
    if process.exitcode:
        problem = ours.recv() if ours.poll() else f"the process that wrote it ended with {process.exitcode}"
        raise OSError(f"{folder} cannot be packed: {problem}")


def _family(pid: int | None) -> list[psutil.Process]:
    """List a process after all that it started; nothing where it has ended."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    return []


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _optimize(reading: "_Reading", folder: Path, shard_bytes: int, workers: int, problem: Any) -> None:  # noqa: ANN401
    if hasattr(os, "setsid"):  # not on Windows; a terminal's Ctrl-C is for the parent
        os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # litdata empties these folders; its own choice is /tmp/chunks and /tmp/data, whoever they belong to.
    os.environ["DATA_OPTIMIZER_CACHE_FOLDER"] = str(folder / _SCRATCH / "chunks")
    os.environ["DATA_OPTIMIZER_DATA_CACHE_FOLDER"] = str(folder / _SCRATCH / "data")
    with Path(os.devnull).open("w") as nowhere:
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


def _end_with_parent() -> None:
    """End with all of one's own processes when the parent has ended, also by a kill -9."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    _kill(_family(os.getpid()))


class _Reading(NamedTuple):
    """Reads photographs in litdata's processes."""

    items: Sequence[Labelled]
    shorter_side: int | None
    left_out: Path
    counter: Any  # of photographs, shared by all processes

    def __call__(self, index: int) -> Sample:
        torch.set_num_threads(1)  # after a fork, OpenMP waits forever for the threads of the process that was forked
        path, label = self.items[index]
        name = path.name.encode(errors="backslashreplace").decode()
        try:
            content = _smaller(path.read_bytes(), path.name, self.shorter_side)
        except (OSError, ValueError) as error:
            name = f"{name}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
            content = b""  # its place stays empty, for litdata counts places to go on after an interruption
            with self.left_out.open("a", encoding="utf-8") as file:
                file.write(json.dumps([index, name]) + "\n")
        with self.counter.get_lock():
            self.counter.value += 1
        return Sample(content=content, label=label, name=name, checksum=checksum(content, label, name))


def _smaller(content: bytes, name: str, shorter_side: int | None) -> bytes:
    """Encode a photograph anew if it is too large; in any case see whether it is sound."""
    image = read_image(content, name=name, at_least=shorter_side or _SEEN_AT)
    with Image.open(io.BytesIO(content)) as opened:
        if shorter_side is None or min(opened.size) <= shorter_side:
            return content
    height, width = image.shape[-2:]
    scale = shorter_side / min(height, width)
    smaller = resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))
    with io.BytesIO() as file:
        # Colours at full resolution, for they are what a colorizer learns.
        Image.fromarray(to_uint8(smaller)).save(file, "JPEG", quality=95, subsampling=0)
        return file.getvalue()
