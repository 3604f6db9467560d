"""Photographs out of shards that litdata reads: endless batches to train on, single ones to validate on."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from typing import Any

import torch
from litdata import StreamingDataLoader, StreamingDataset
from torch import Tensor

from impasto.chance import generator_of
from impasto.data.batches import Batch, PhotographDataset, Transform, collate
from impasto.data.shard_index import Sample, decode

log = logging.getLogger(__name__)


def open_stream(folder: str) -> StreamingDataset:
    """Open shards for single photographs, by their number; ConnectionError where they cannot be reached."""
    try:
        return StreamingDataset(folder)
    except Exception as error:  # each store has errors of its own
        reason = str(error).split("\n")[0]
        raise ConnectionError(f"{folder}/index.json cannot be read: {reason}; 'impasto pack' writes it") from error


class PackedDataset(PhotographDataset):
    """Single photographs out of a folder of shards: those with the given numbers, but for the skipped names."""

    def __init__(self, folder: str, numbers: Sequence[int], transform: Transform, skipped: set[str]) -> None:
        self.folder, self.numbers, self.transform, self.skipped = folder, list(numbers), transform, skipped

    @cached_property
    def _stream(self) -> StreamingDataset:  # opened by the worker that reads: a connection does not outlive a fork
        return open_stream(self.folder)

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, index: int) -> str:
        """Return the name of a photograph."""
        return str(self._stream[self.numbers[index]]["name"])

    def read(self, index: int) -> tuple[Tensor, int]:
        """Return one photograph, RGB uint8, (H, W, 3), and its label."""
        sample: Sample = self._stream[self.numbers[index]]
        if sample["name"] in self.skipped:
            raise ValueError(f"{sample['name']}, as data.skip says")
        return decode(sample, self.transform.at_least), sample["label"]


class Stream(StreamingDataset):  # type: ignore[misc]
    """Photographs in the order that seed, epoch, process and worker determine; None for one that cannot be read."""

    def __init__(self, folder: str, transform: Transform, *, seed: int, skipped: set[str]) -> None:
        # Whole chunks are shuffled, not blocks of 256 within them.
        super().__init__(folder, shuffle=True, drop_last=True, seed=seed, item_shuffle_window=0)
        self.square, self.skipped = transform, skipped  # `transform` is litdata's own

    def __getitem__(self, index: Any) -> Batch | None:  # noqa: ANN401
        """Read, transform and time one photograph."""
        begin = time.perf_counter()
        sample: Sample = super().__getitem__(index)
        try:
            image = None if sample["name"] in self.skipped else decode(sample, self.square.at_least)
        except ValueError as error:
            log.warning("left out: %s", error)
            image = None
        if image is None:
            return None
        generator = generator_of(self.seed * 1_000_003 + self.current_epoch, index.index)
        image = self.square(image.permute(2, 0, 1), generator).permute(1, 2, 0)
        return Batch(image, torch.tensor(sample["label"]), time.perf_counter() - begin)


@dataclass
class EndlessShards:
    """Batches without end, shuffled anew in each epoch, whose order follows from seed and step: training resumes there.

    It depends on the number of processes and workers. The last photographs of an epoch that are no whole batch are left
    out; those that cannot be read are replaced by others of their batch.

    Raises:
        ValueError: fewer photographs than one batch for each process.
    """

    stream: Stream
    batch_size: int  # of this process
    workers: int  # processes that read; 0 reads in this one
    first: int  # number of the first batch

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches from the first on."""
        loader = StreamingDataLoader(
            self.stream,
            batch_size=self.batch_size,
            num_workers=self.workers,
            collate_fn=_collate,
            pin_memory=torch.cuda.is_available(),
        )
        if not len(loader):
            raise ValueError(
                f"expected at least data.batch_size={self.batch_size} photographs for each process, got fewer in shards"
            )
        epoch, done = divmod(self.first, len(loader))
        loader.current_epoch = epoch  # of those that are finished
        if done:  # litdata's own state after so many batches of an epoch, the first of which is 1
            samples, workers = done * self.batch_size, max(1, self.workers)
            state = self.stream.state_dict(samples, workers, self.batch_size) | {"current_epoch": epoch + 1}
            loader.load_state_dict({
                "dataset": state,
                "current_epoch": epoch + 1,
                "num_samples_yielded": samples,
                "latest_worker_idx": (done - 1) % workers,
            })  # fmt: skip
        while True:
            yield from loader


def _collate(photographs: Sequence[Batch | None]) -> Batch:
    """Put photographs into one batch; those that could be read stand in for those that could not."""
    sound = [photograph for photograph in photographs if photograph is not None]
    if not sound:
        raise ValueError(f"none of the {len(photographs)} photographs of a batch can be read; see the warnings")
    batch: Batch = collate(list(islice(cycle(sound), len(photographs))))
    return batch
