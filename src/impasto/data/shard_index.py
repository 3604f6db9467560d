"""What a folder of shards holds: an index of each split, and photographs with their labels, names and checksums."""

import json
import zlib
from pathlib import Path
from typing import NamedTuple, TypedDict

from torch import Tensor

from impasto.images import read_uint8

SPLITS = ("train", "val")
INDEX = "index.json"
_KINDS = ["bytes", "int", "str", "int"]  # of a `Sample`, in litdata's words; other kinds may be pickles


class Sample(TypedDict):
    """A photograph as `impasto pack` writes it."""

    content: bytes  # of the image file
    label: int  # index of the scene; -1 where it is not known
    name: str  # of the file
    checksum: int  # of all that


def checksum(content: bytes, label: int, name: str) -> int:
    """Return the CRC-32 of a photograph with its label and name."""
    return zlib.crc32(f"{label} {name}".encode(), zlib.crc32(content))


def decode(sample: Sample, at_least: int | None) -> Tensor:
    """Decode a photograph, RGB uint8, (H, W, 3); ValueError with its name where it is damaged."""
    content, label, name = bytes(sample["content"]), sample["label"], sample["name"]  # litdata gives a view of it
    if checksum(content, label, name) != sample["checksum"]:
        raise ValueError(f"{name} is damaged: its checksum is another than when it was packed")
    return read_uint8(content, name=name, at_least=at_least)


class ShardIndex(NamedTuple):
    """What is known of one split."""

    classes: list[str]  # names of the scenes; none where they are not known
    photographs: int  # how many there are
    sizes: dict[str, int]  # of the shards' files in bytes, by name
    left_out: list[str]  # what was wrong with the photographs that were broken when they were packed


def read_index(file: Path) -> ShardIndex:
    """Read the index of one split; ValueError where it is not one that `impasto pack` finished."""
    if not file.is_file():
        raise FileNotFoundError(f"no {file}; 'impasto pack' writes it")
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        sizes = {str(chunk["filename"]): int(chunk["chunk_bytes"]) for chunk in read["chunks"]}
        photographs = sum(int(chunk["chunk_size"]) for chunk in read["chunks"])
        found = ShardIndex(list(read["classes"]), photographs, sizes, read.get("left_out", []))
        kinds = list(read["config"]["data_format"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file} is not an index that 'impasto pack' finished ({error!r})") from error
    if kinds != _KINDS or not photographs or any("/" in name for name in sizes):
        raise ValueError(f"{file} lists no shards of 'impasto pack'; expected photographs, got {kinds}")
    return found


def check_sizes(folder: Path, sizes: dict[str, int]) -> None:
    """Refuse a folder in which a shard is missing or has another size, without reading any; names the first."""
    for name, size in sizes.items():
        file = folder / name
        if not file.is_file():
            raise ValueError(f"shard {file} is missing")
        if file.stat().st_size != size:
            raise ValueError(f"shard {file} has {file.stat().st_size} bytes; {INDEX} says {size}")
