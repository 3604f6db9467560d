"""Photographs that are streamed out of shards, as `impasto pack` writes them by litdata."""

import logging
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from torch import Tensor

from impasto.data.batches import Batch, Transform
from impasto.data.photographs import Loading, PhotographModule, spread
from impasto.data.shard_index import INDEX, SPLITS, ShardIndex, check_sizes, read_index
from impasto.data.transforms import CentrePatch
from impasto.images import from_uint8

if TYPE_CHECKING:
    from impasto.data.shard_stream import PackedDataset  # imports litdata

log = logging.getLogger(__name__)

_STORES = ("s3", "gs", "r2", "azure", "local")  # what litdata reads besides folders


class Shards(PhotographModule):
    """Photographs in shards, read from a disk or an object store.

    The order of training depends on the number of processes and workers, so a training is resumed with the same.

    Args:
        urls: the folder that `impasto pack` wrote; or s3://, gs://, r2:// or azure://..., of such a folder.
        loading: as `Loading` says.

    Raises:
        ValueError: an address that litdata does not read; shards that are not finished, missing, or of another size
            (raised by `setup`); or fewer photographs than a batch.
        OSError: the shards are not there or cannot be reached (raised by `setup`).
    """

    def __init__(self, *, urls: str, **loading: Unpack[Loading]) -> None:
        super().__init__(**loading)
        if self.seed < 0:
            raise ValueError(f"expected data.seed of at least 0, got {self.seed}")
        self.urls = str(urls).rstrip("/")
        scheme = re.match(r"[a-z][a-z0-9]+(?=:)", self.urls)  # one letter is a drive of Windows
        if scheme and scheme[0] not in _STORES:
            raise ValueError(
                f"expected data.urls=<folder>, or {', '.join(f'{store}://' for store in _STORES[:-1])}..., got {urls}"
            )
        self.folder = None if scheme else Path(self.urls).expanduser()

    @cached_property
    def index(self) -> dict[str, ShardIndex]:
        """What was packed, by split."""
        if self.folder is not None:
            return {split: read_index(self.folder / split / INDEX) for split in SPLITS}
        from impasto.data.shard_stream import open_stream

        copies = {split: open_stream(self._address(split)).input_dir.path for split in SPLITS}
        return {split: read_index(Path(copy) / INDEX) for split, copy in copies.items()}

    @property
    def classes(self) -> list[str]:
        """Names of the scenes; none where they are not known."""
        return self.index["train"].classes

    def setup(self, stage: str) -> None:
        """Read the indices; ask, where that costs nothing, whether all shards are there."""
        for split, index in self.index.items():
            if self.folder is not None:
                check_sizes(self.folder / split, index.sizes)

    def train_dataloader(self) -> Iterable[Batch]:
        """Endless batches, from the step at which the trainer stands."""
        from impasto.data.shard_stream import EndlessShards, Stream

        stream = Stream(self._address("train"), self.train_transform, seed=self.seed, skipped=self.skipped())
        return EndlessShards(stream, self.batch_size, workers=self._workers(), first=self.next_batch)

    def _val_dataset(self) -> "PackedDataset":
        return self.dataset("val", self.val_transform, self.val_limit)

    def dataset(self, split: str, transform: Transform, count: int | None = None) -> "PackedDataset":
        """Return single photographs of a split: so many, evenly spread, or all, as they were packed."""
        from impasto.data.shard_stream import PackedDataset

        numbers = spread(self.index[split].photographs, count)
        return PackedDataset(self._address(split), numbers, transform, self.skipped())

    def sample_photographs(self, count: int) -> Iterator[tuple[str, Tensor]]:
        """Yield names and held-out photographs, whole: `count` spread evenly, then others, in case some are broken."""
        dataset = self.dataset("val", CentrePatch(size=1))  # which wants every pixel of a photograph
        for index in dict.fromkeys([*spread(len(dataset), count), *range(len(dataset))]):
            try:
                yield Path(dataset.name(index)).stem, from_uint8(dataset.read(index)[0])
            except ValueError as error:
                log.warning("left out: %s", error)

    def _address(self, split: str) -> str:
        return f"{self.urls if self.folder is None else self.folder}/{split}"
