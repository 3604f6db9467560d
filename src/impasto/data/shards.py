"""Photographs in shards, as `impasto pack` writes them by litdata."""

import json
import logging
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

from torch import Tensor

from impasto.data.batches import PhotographDataset, Transform
from impasto.data.photographs import Loading, PhotographModule
from impasto.data.transforms import CentrePatch
from impasto.images import from_uint8, read_uint8
from impasto.listing import evenly_spread

log = logging.getLogger(__name__)

SPLITS = ("train", "val")
INDEX = "index.json"
_KINDS = ["bytes", "int", "str", "int"]  # of a `Sample`, in litdata's words; other kinds may be pickles
_STORES = ("s3://", "gs://", "r2://", "azure://")


class Sample(TypedDict):
    """A photograph as `impasto pack` writes it."""

    content: bytes  # of the image file
    label: int  # index of the scene; -1 where it is not known
    name: str  # of the file
    checksum: int  # of all that


def checksum(content: bytes, label: int, name: str) -> int:
    """Return the CRC-32 of a photograph with its label and name."""
    return zlib.crc32(f"{label} {name}".encode(), zlib.crc32(content))


class ShardIndex(NamedTuple):
    """What is known of one split."""

    classes: list[str]  # names of the scenes; none where they are not known
    photographs: list[int]  # how many each shard has
    sizes: dict[str, int]  # of the shards' files in bytes, by name
    left_out: list[str]  # what was wrong with the photographs that were broken when they were packed


def read_index(file: Path) -> ShardIndex:
    """Read the index of one split; ValueError where it is not one that `impasto pack` finished."""
    if not file.is_file():
        raise FileNotFoundError(f"no {file}; 'impasto pack' writes it")
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        sizes = {str(chunk["filename"]): int(chunk["chunk_bytes"]) for chunk in read["chunks"]}
        photographs = [int(chunk["chunk_size"]) for chunk in read["chunks"]]
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


class Shards(PhotographModule):
    """Photographs in shards, which come in a random order, and the photographs of each: read once in a round.

    Args:
        urls: the folder that `impasto pack` wrote; or s3://, gs://, r2:// or azure://..., of such a folder. `setup`
            refuses shards that are not finished, missing, or of another size.
    """

    def __init__(self, *, urls: str, **loading: Unpack[Loading]) -> None:
        super().__init__(**loading)
        elsewhere = "://" in str(urls) or str(urls).startswith("local:")
        self.folder = None if elsewhere else Path(str(urls)).expanduser()
        self.addresses = {split: f"{str(self.folder or urls).rstrip('/')}/{split}" for split in SPLITS}

    @cached_property
    def index(self) -> dict[str, ShardIndex]:
        """What was packed, by split; of a store litdata has copies."""
        addresses = self.addresses
        if self.folder is None:
            addresses = {split: open_stream(address).input_dir.path for split, address in addresses.items()}
        return {split: read_index(Path(address, INDEX)) for split, address in addresses.items()}

    @property
    def blocks(self) -> list[int]:  # type: ignore[override]
        """How many photographs each shard to train on has."""
        return self.index["train"].photographs

    @property
    def classes(self) -> list[str]:
        """Names of the scenes; none where they are not known."""
        return self.index["train"].classes

    def setup(self, stage: str) -> None:
        """Read the indices; ask, where that costs nothing, whether all shards are there."""
        for split, index in self.index.items():
            if self.folder is not None:
                check_sizes(self.folder / split, index.sizes)

    def dataset(self, split: str, transform: Transform) -> PhotographDataset:
        """Return the single photographs of "train" or "val", in the order in which they were packed."""
        numbers = evenly_spread(range(sum(self.index[split].photographs)), self.val_limit if split == "val" else None)
        return PackedDataset(self.addresses[split], numbers, transform, self.skipped())

    def sample_photographs(self, count: int) -> Iterator[tuple[str, Tensor]]:
        """Yield names and held-out photographs, whole: `count` spread evenly, then others, in case some are broken."""
        dataset = self.dataset("val", CentrePatch(size=1))  # which wants every pixel of a photograph
        for index in dict.fromkeys([*evenly_spread(range(len(dataset)), count), *range(len(dataset))]):
            try:
                yield Path(dataset.name(index)).stem, from_uint8(dataset.read(index)[0])
            except ValueError as error:
                log.warning("left out: %s", error)


def open_stream(folder: str) -> Any:  # noqa: ANN401 (litdata's StreamingDataset, which has no types)
    """Open shards for single photographs, by their number; ConnectionError where they cannot be reached."""
    from litdata import StreamingDataset

    if "://" in folder and not folder.startswith(_STORES):  # which litdata would take for a folder
        raise ValueError(f"expected a folder or an address that begins with {', '.join(_STORES)}, got {folder}")
    try:
        return StreamingDataset(folder)
    except Exception as error:  # each store has errors of its own
        reason = str(error).split("\n")[0]
        raise ConnectionError(f"{folder}/{INDEX} cannot be read: {reason}; 'impasto pack' writes it") from error


class PackedDataset(PhotographDataset):
    """Single photographs out of a folder of shards: those with the given numbers, but for the skipped names."""

    def __init__(self, folder: str, numbers: Sequence[int], transform: Transform, skipped: set[str]) -> None:
        self.folder, self.numbers, self.transform, self.skipped = folder, numbers, transform, skipped

    @cached_property
    def _stream(self) -> Any:  # noqa: ANN401 (opened by the worker that reads: a connection does not outlive a fork)
        return open_stream(self.folder)

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, index: int) -> str:
        """Return the name of a photograph."""
        return str(self._stream[self.numbers[index]]["name"])

    def read(self, index: int) -> tuple[Tensor, int]:
        """Return one photograph, RGB uint8, (H, W, 3), and its label; ValueError with its name where it is damaged."""
        sample: Sample = self._stream[self.numbers[index]]
        content, label, name = bytes(sample["content"]), sample["label"], sample["name"]  # litdata gives a view of it
        if name in self.skipped:
            raise ValueError(f"{name}, as data.skip says")
        if checksum(content, label, name) != sample["checksum"]:
            raise ValueError(f"{name} is damaged: its checksum is another than when it was packed")
        return read_uint8(content, name=name, at_least=self.transform.at_least), label
