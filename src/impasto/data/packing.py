"""Photographs into tar shards, with an index and checksums; interrupted anywhere, it goes on where it was."""

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from impasto.data.pack_folder import PackFolder
from impasto.data.photographs import Labelled
from impasto.data.shard_index import FILE, Shard
from impasto.data.shard_reader import LABEL
from impasto.files import sha256, whole_file, write_text
from impasto.group import usable_cores
from impasto.images import decode_image, to_uint8
from impasto.listing import SUFFIXES

_NAME = 60  # letters of a photograph's name that are kept; tar has room for 100
_SEEN_AT = 64  # pixels in which a photograph is decoded to see whether it is sound

Record = dict[str, Any]


class Packing(NamedTuple):
    """How photographs are packed.

    Attributes:
        classes: names of the scenes; none where nobody told them.
        shorter_side: pixels to which larger photographs are made smaller; None keeps all files as they are.
        shard_bytes: a shard is full when its photographs have as many.
        workers: processes that read.
        tell: is called with how many more photographs are done, and the name of their shard.
    """

    classes: Sequence[str]
    shorter_side: int | None
    shard_bytes: int
    workers: int
    tell: Callable[[int, str], None]


class Packed(NamedTuple):
    """A photograph on its way into a shard.

    Attributes:
        content: bytes of the image file; empty if it is broken.
        suffix: of the file, without a dot.
        problem: why it is left out.
    """

    content: bytes
    suffix: str
    problem: str


def shuffled(items: Sequence[Labelled], seed: int) -> list[Labelled]:
    """Shuffle photographs, so that every shard is a mixture."""
    return [items[index] for index in np.random.default_rng(seed).permutation(len(items)).tolist()]


def fingerprint(splits: Mapping[str, Sequence[Labelled]]) -> dict[str, Any]:
    """Return the counts of photographs and a checksum of their names and labels, wherever their folder lies."""
    paths = [os.path.abspath(item.path) for items in splits.values() for item in items]  # noqa: PTH100 (asks no disk)
    root = os.path.commonpath(paths) if paths else ""
    digest = hashlib.sha256()
    for split, items in splits.items():
        for item in items:
            told = f"{split}\0{os.path.relpath(item.path, root)}\0{item.label}\n"
            digest.update(told.encode(errors="surrogateescape"))
    return {split: len(items) for split, items in splits.items()} | {"names": digest.hexdigest()[:16]}


def pack(splits: Mapping[str, Sequence[Labelled]], folder: PackFolder, packing: Packing) -> Record:
    """Write the shards that are not there yet, then the index.

    Args:
        splits: "train" and "val" with their photographs, in the order in which they are packed.
        folder: gets them; claimed by this process.
        packing: how.

    Returns:
        The index: classes, shards, what was left out, settings.

    Raises:
        ValueError: not one photograph of a split can be read.
        OSError: the folder cannot be written, or the disk is full.
    """
    index: Record = {"classes": list(packing.classes)}
    left_out: dict[str, list[str]] = {}
    for split, items in splits.items():
        records = list(_split(split, items, folder, packing))
        index[split] = [{key: record[key] for key in Shard._fields} for record in records if record["samples"]]
        left_out[split] = [name for record in records for name in record["left_out"]]
        if not index[split]:
            raise ValueError(f"none of the {len(items)} photographs in {split} can be read: {left_out[split][0]}")
    index |= {"left_out": left_out, "settings": folder.settings}
    write_text(folder.path / FILE, json.dumps(index, indent=1) + "\n")
    return index


def _split(split: str, items: Sequence[Labelled], folder: PackFolder, packing: Packing) -> Iterator[Record]:
    number = begin = 0
    while begin < len(items) and (record := folder.record(f"{split}-{number:06d}.tar")) is not None:
        yield record
        packing.tell(record["photographs"], record["name"])
        begin, number = begin + record["photographs"], number + 1
    todo = items[begin:]
    photographs = zip(todo, _read(todo, packing), strict=True)
    while begin < len(items):
        record = _shard(folder.path / f"{split}-{number:06d}.tar", photographs, packing)
        if not record["samples"]:  # only broken ones were left; the record tells them
            (folder.path / record["name"]).unlink()
        else:
            folder.keep(record)
        yield record
        begin, number = begin + record["photographs"], number + 1


def _shard(path: Path, photographs: Iterator[tuple[Labelled, Packed]], packing: Packing) -> Record:
    from webdataset import TarWriter  # seconds to import, and only packing needs it

    record: Record = {"name": path.name, "samples": 0, "photographs": 0, "left_out": []}
    filled = 0
    with whole_file(path) as temporary:
        with temporary.open("wb") as file, TarWriter(file, encoder=False, mtime=0) as tar:
            while filled < packing.shard_bytes and (found := next(photographs, None)):
                item, packed = found
                if packed.problem:
                    record["left_out"].append(packed.problem)
                else:
                    filled += tar.write(_sample(item, packed, record["samples"], labelled=bool(packing.classes)))
                    record["samples"] += 1
                record["photographs"] += 1
                packing.tell(1, path.name)
        return record | {"bytes": temporary.stat().st_size, "sha256": sha256(temporary)}


def _sample(item: Labelled, packed: Packed, number: int, *, labelled: bool) -> dict[str, Any]:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", item.path.stem)[:_NAME]
    sample = {"__key__": f"{number:06d}_{name}", packed.suffix: packed.content}
    return sample | {LABEL: str(item.label).encode()} if labelled else sample


def _read(items: Sequence[Labelled], packing: Packing) -> Iterator[Packed]:
    build: Callable[..., DataLoader[Packed]] = DataLoader
    workers = min(packing.workers, usable_cores())
    reading = _Reading(items, packing.shorter_side)
    return iter(build(reading, batch_size=None, collate_fn=_as_it_is, num_workers=workers)) if items else iter(())


def _as_it_is(packed: Packed) -> Packed:
    return packed


class _Reading(Dataset[Packed]):
    def __init__(self, items: Sequence[Labelled], shorter_side: int | None) -> None:
        self.items, self.shorter_side = items, shorter_side

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Packed:
        if index >= len(self.items):
            raise IndexError(index)
        path = self.items[index].path
        suffix = path.suffix.lower()[1:] if path.suffix.lower() in SUFFIXES else "img"
        try:
            content = path.read_bytes()
            smaller = self._smaller(content, path.name)
        except OSError as error:
            return Packed(b"", suffix, f"{path.name}: {error.strerror or error}")  # the index names no folder
        except ValueError as error:
            return Packed(b"", suffix, str(error))
        return Packed(content, suffix, "") if smaller is None else Packed(smaller, "jpg", "")

    def _smaller(self, content: bytes, name: str) -> bytes | None:
        """Encode a photograph anew if it is too large; in any case see whether it is sound."""
        image = decode_image(content, name, at_least=self.shorter_side or _SEEN_AT)
        height, width = image.shape[-2:]
        if self.shorter_side is None or _smallest(content) <= self.shorter_side:
            return None
        scale = self.shorter_side / min(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        resized = functional.interpolate(image[None], size=size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        with io.BytesIO() as file:
            # Colours at full resolution, for they are what a colorizer learns.
            Image.fromarray(to_uint8(resized)).save(file, "JPEG", quality=95, subsampling=0)
            return file.getvalue()


def _smallest(content: bytes) -> int:
    with Image.open(io.BytesIO(content)) as image:
        return min(image.size)
