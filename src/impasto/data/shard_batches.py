"""Batches out of shards: without end to train on, once and in order to validate."""

import itertools
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from impasto.chance import generator_of
from impasto.data.photographs import Batch, Transform
from impasto.data.shard_index import Shard
from impasto.data.shard_order import buffered, dealt
from impasto.data.shard_reader import Reader, Sample
from impasto.images import decode_image

log = logging.getLogger(__name__)


class EndlessShards(IterableDataset[Batch]):
    """Batches without end, whose order is told by numbers alone, so that training resumes anywhere.

    Each worker of each process reads shards of its own, shuffled anew in each of its epochs. Which shards they are and
    in which order photographs leave the shuffle buffer follows from the seed, so that nothing is read that has been
    trained on already, but for the beginning of shards that are read on.

    Args:
        reader: of the shards.
        shards: to train on.
        transform: to a square of one size.
        batch_size: of this process.
        buffer: photographs that a worker keeps, as the bytes of their files, to take one at random.
        seed: of order and crops.
        first: number of the first batch of this process.
        workers: that the DataLoader has; 0 reads in the training process.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        reader: Reader,
        shards: Sequence[Shard],
        transform: Transform,
        *,
        batch_size: int,
        buffer: int,
        seed: int,
        first: int,
        workers: int,
        rank: int,
        world_size: int,
    ) -> None:
        self.reader, self.shards, self.transform = reader, list(shards), transform
        self.batch_size, self.buffer, self.seed, self.first = batch_size, buffer, seed, first
        self.workers, self.rank = max(1, workers), rank
        self.slots = self.workers * world_size

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of this worker."""
        info = get_worker_info()
        # The DataLoader asks its workers in turn and begins with worker 0, which goes on where the turn was.
        worker = ((info.id if info else 0) + self.first) % self.workers
        slot = self.rank * self.workers + worker
        begin = len(range(worker, self.first, self.workers)) * self.batch_size
        photographs = self._photographs(self._samples(slot, begin), slot, begin)
        while True:
            yield collate(itertools.islice(photographs, self.batch_size))

    def _samples(self, slot: int, begin: int) -> Iterator[Sample]:
        """Yield a slot's samples without end, from the one of number `begin` on."""
        for epoch in itertools.count():
            taken = dealt(len(self.shards), slot=slot, slots=self.slots, seed=self.seed, epoch=epoch)
            shards = [self.shards[number] for number in taken]
            total = sum(shard.samples for shard in shards)
            if begin < total:
                order = buffered(total, self.buffer, seed=self.seed, epoch=epoch, slot=slot)
                yield from self._epoch(shards, order[begin:])
            begin = max(0, begin - total)

    def _epoch(self, shards: Sequence[Shard], order: np.ndarray) -> Iterator[Sample]:
        wanted = np.zeros(sum(shard.samples for shard in shards), dtype=bool)
        wanted[order] = True
        held: dict[int, Sample] = {}
        arriving = self.reader.read(shards, wanted)
        for number in order.tolist():
            while number not in held:
                arrived, sample = next(arriving)
                held[arrived] = sample
            yield held.pop(number)

    def _photographs(self, samples: Iterator[Sample], slot: int, begin: int) -> Iterator[Batch]:
        """Decode samples; the next sound one also takes the place of one that is broken, so that nothing shifts."""
        line: deque[Sample | None] = deque()
        broken: set[tuple[str, str]] = set()
        for number in itertools.count(begin):
            start = time.perf_counter()
            generator = generator_of(self.seed, number * self.slots + slot)
            yield self._next_sound(line, samples, broken, generator=generator, start=start)
            line.popleft()

    def _next_sound(
        self,
        line: deque[Sample | None],
        samples: Iterator[Sample],
        broken: set[tuple[str, str]],
        *,
        generator: torch.Generator,
        start: float,
    ) -> Batch:
        for place in range(1 + sum(shard.samples for shard in self.shards)):
            if place == len(line):
                line.append(next(samples))
            if (sample := line[place]) is None:
                continue
            try:
                return photograph(sample, self.transform, generator=generator, start=start)
            except ValueError as error:
                line[place] = None
                if (sample.shard, sample.key) not in broken:  # each once, not once in each epoch
                    broken.add((sample.shard, sample.key))
                    log.warning("left out (%d so far): %s", len(broken), error)
        raise ValueError(f"none of the photographs in the shards can be read; the first shard is {self.shards[0].name}")


class HeldOut(IterableDataset[Batch]):
    """Held-out photographs, once and in order; workers take batches in turn. Broken ones are left out.

    Args:
        reader: of the shards.
        shards: held out.
        transform: to a square of one size.
        batch_size: photographs in a batch.
        numbers: of the photographs that are taken, all shards taken together, in order.
    """

    def __init__(
        self, reader: Reader, shards: Sequence[Shard], transform: Transform, *, batch_size: int, numbers: Sequence[int]
    ) -> None:
        self.reader, self.shards, self.transform = reader, list(shards), transform
        self.batches = [list(numbers[at : at + batch_size]) for at in range(0, len(numbers), batch_size)]

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of this worker."""
        info = get_worker_info()
        batches = self.batches[info.id :: info.num_workers] if info else self.batches
        wanted = np.zeros(sum(shard.samples for shard in self.shards), dtype=bool)
        wanted[[number for batch in batches for number in batch]] = True
        samples = self.reader.read(self.shards, wanted)
        for batch in batches:
            if sound := [found for found in map(self._read, itertools.islice(samples, len(batch))) if found]:
                yield collate(sound)

    def _read(self, found: tuple[int, Sample]) -> Batch | None:
        try:
            start = time.perf_counter()
            return photograph(found[1], self.transform, generator=generator_of(0, found[0]), start=start)
        except ValueError as error:
            log.warning("left out: %s", error)
            return None


def photograph(sample: Sample, transform: Transform, *, generator: torch.Generator, start: float) -> Batch:
    """Decode and transform one photograph.

    Args:
        sample: out of a shard.
        transform: to a square of one size.
        generator: for everything random about it.
        start: of the clock, when it was begun to be read.

    Returns:
        A batch without its first dimension.

    Raises:
        ValueError: it is broken; names shard and photograph.
    """
    name = f"{sample.shard}, {sample.key}"
    if sample.content is None:
        raise ValueError(f"{name} is lost: the tar file is damaged there")
    image = transform(decode_image(sample.content, name, at_least=transform.at_least), generator)
    return Batch(image, torch.tensor(sample.label), torch.tensor(time.perf_counter() - start))


def collate(photographs: Iterator[Batch] | Sequence[Batch]) -> Batch:
    """Put photographs into one batch."""
    return Batch(*(torch.stack(parts) for parts in zip(*photographs, strict=True)))
