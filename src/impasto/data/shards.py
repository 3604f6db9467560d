"""Photographs that are streamed out of tar shards, as `impasto pack` writes them."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from impasto.data.photographs import Batch, Transform
from impasto.data.shard_batches import EndlessShards, HeldOut
from impasto.data.shard_index import ShardIndex, check_shards, load_index
from impasto.data.shard_reader import Reader
from impasto.data.shard_source import Source
from impasto.group import usable_cores
from impasto.images import decode_image

log = logging.getLogger(__name__)


class Shards(LightningDataModule):
    """Photographs in tar shards, read one after another from a disk, a web server or an object store.

    Training batches never end; the trainer's `max_steps` says how many are used. They depend on the number of
    processes and workers, so a training is resumed with the same.

    Args:
        urls: a folder with `index.json` and shards; http(s)://..., of such a folder; s3://, gs:// or hf://, through the
            tools of those stores; or "pipe:<command>", in which {} stands for the name of a shard.
        train_transform: to squares of one size.
        val_transform: likewise, nothing random.
        batch_size: photographs in a batch.
        num_workers: processes that read, at most as many as there are cores, and as there are shards for each process;
            0 reads in the training process.
        seed: of order and crops.
        val_limit: validate on at most this many photographs, spread evenly over all; None uses all.
        shuffle_buffer: photographs that each worker keeps, as the bytes of their files, to take one at random.

    Raises:
        ValueError: a batch size, limit or buffer below 1, a shard that is missing or has another size, or fewer shards
            than processes (the last ones raised by `setup`).
        OSError: the index is not there or cannot be reached (raised by `setup`).
    """

    def __init__(
        self,
        *,
        urls: str,
        train_transform: Transform,
        val_transform: Transform,
        batch_size: int,
        num_workers: int,
        seed: int,
        val_limit: int | None,
        shuffle_buffer: int,
    ) -> None:
        super().__init__()
        least = {"batch_size": batch_size, "val_limit": val_limit or 1, "shuffle_buffer": shuffle_buffer}
        if val_limit == 0:
            least["val_limit"] = 0
        for name, value in least.items():
            if value < 1:
                raise ValueError(f"expected data.{name} of at least 1, got {value}")
        if seed < 0:
            raise ValueError(f"expected data.seed of at least 0, got {seed}")
        self.source = Source(str(urls))
        self.train_transform, self.val_transform = train_transform, val_transform
        self.batch_size, self.seed, self.val_limit = batch_size, seed, val_limit
        self.num_workers = min(num_workers, usable_cores())
        self.shuffle_buffer = shuffle_buffer
        self._index: ShardIndex | None = None
        self._checked = False

    @property
    def index(self) -> ShardIndex:
        """What was packed."""
        if self._index is None:
            self._index = load_index(self.source)
        return self._index

    @property
    def classes(self) -> list[str]:
        """Names of the scenes; none where nobody told them."""
        return self.index.classes

    def setup(self, stage: str) -> None:
        """Ask whether all shards are there, before anything is trained."""
        del stage
        if self._checked:
            return
        check_shards(self.source, [*self.index.train, *self.index.val])
        if self.trainer is not None:
            self.num_workers = min(self.num_workers, usable_cores(processes=self.trainer.num_devices))
        _, world_size = self._place()
        shards = len(self.index.train)
        if shards < world_size:
            raise ValueError(
                f"expected at least one shard for each of {world_size} processes, got {shards} in {self.source.urls}; "
                "pack with a smaller shard_bytes"
            )
        if shards < world_size * self.num_workers:
            told = (self.num_workers, shards // world_size, shards, world_size)
            log.warning("data.num_workers=%d becomes %d: %d shards for %d processes", *told)
            self.num_workers = shards // world_size
        self._checked = True

    def _place(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    @property
    def _reader(self) -> Reader:
        return Reader(self.source, len(self.classes))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Move a batch, but not the seconds, which the host looks at in every step."""
        return super().transfer_batch_to_device(batch, device, dataloader_idx)._replace(seconds=batch.seconds)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Endless batches, from the step at which the trainer stands."""
        first = 0 if self.trainer is None else self.trainer.global_step * self.trainer.accumulate_grad_batches
        rank, world_size = self._place()
        dataset = EndlessShards(
            self._reader,
            self.index.train,
            self.train_transform,
            batch_size=self.batch_size,
            buffer=self.shuffle_buffer,
            seed=self.seed,
            first=first,
            workers=self.num_workers,
            rank=rank,
            world_size=world_size,
        )
        return _loader(dataset, self.num_workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The held-out photographs, once and in order."""
        shards, numbers = self.index.val, self._held_out(self.val_limit)
        dataset = HeldOut(self._reader, shards, self.val_transform, batch_size=self.batch_size, numbers=numbers)
        # Workers skip each other's batches, for which a stream would be read as often as there are workers.
        workers = self.num_workers if self.source.folder is not None else min(1, self.num_workers)
        return _loader(dataset, workers)

    def _held_out(self, limit: int | None) -> list[int]:
        total = sum(shard.samples for shard in self.index.val)
        count = min(limit or total, total)
        return [number * total // count for number in range(count)]

    def sample_photographs(self, count: int) -> Iterator[tuple[str, Tensor]]:
        """Read held-out photographs whole, `count` of them spread evenly, then the others in case some are broken.

        Args:
            count: how many are wanted.

        Yields:
            Name and photograph: RGB in [0, 1], (3, H, W).
        """
        total = sum(shard.samples for shard in self.index.val)
        spread = np.zeros(total, dtype=bool)
        spread[self._held_out(count)] = True
        for wanted in (spread, ~spread):
            for _, sample in self._reader.read(self.index.val, wanted):
                name = f"{sample.shard}, {sample.key}"
                try:
                    if sample.content is not None:
                        yield sample.key.partition("_")[2] or sample.key, decode_image(sample.content, name)
                except ValueError as error:
                    log.warning("left out: %s", error)


def _loader(dataset: IterableDataset[Batch], workers: int) -> DataLoader[Batch]:
    build: Callable[..., DataLoader[Batch]] = DataLoader
    return build(
        dataset,
        batch_size=None,  # the data set makes the batches
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
