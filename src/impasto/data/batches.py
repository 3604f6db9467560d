"""Batches of photographs: without end to train on, each determined by the seed and its number alone."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from impasto.chance import generator_of
from impasto.images import read_uint8

log = logging.getLogger(__name__)


class Transform(Protocol):
    """From a photograph of any size to a square of `size` pixels a side."""

    size: int

    @property
    def at_least(self) -> int | None:
        """Shorter side in pixels below which decoding would lose detail; None wants every pixel."""

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB, (3, H, W) -> (3, size, size): uint8, or float in [0, 1]."""


class Batch(NamedTuple):
    """Photographs, their scenes, and the seconds that reading each of them took."""

    image: Tensor  # RGB: uint8, (N, size, size, 3) from a loader, float32 in [0, 1], (N, 3, size, size) on the device
    label: Tensor  # (N,), index of the scene; -1 where it is not known
    seconds: Any  # decoding, cropping and resizing, one number each: not on the device, since the host looks at them


def collate(photographs: Sequence[Any]) -> Any:  # noqa: ANN401 (`Batch`, or another whose last part is the seconds)
    """Put photographs into one batch."""
    *parts, seconds = zip(*photographs, strict=True)
    return type(photographs[0])(*(default_collate(list(part)) for part in parts), seconds)


class Draw(NamedTuple):
    """Which photograph to take, and the seed of everything random about it."""

    photograph: int
    seed: int


@dataclass
class EndlessBatches:
    """Batches without end, each determined by the seed and its number alone, so that training resumes anywhere.

    Every photograph comes once before any comes twice; the order is shuffled anew each time round: that of all, or,
    where photographs that lie together are best read together, that of blocks and of the photographs in each.
    """

    photographs: int  # how many there are
    batch_size: int  # of this process
    seed: int  # of order and crops
    first: int  # number of the first batch
    rank: int  # of this process
    world_size: int  # number of processes, which share out the photographs without overlap
    blocks: Sequence[int] = ()  # photographs in each; none shuffles all

    def __iter__(self) -> Iterator[list[Draw]]:
        position = (self.first * self.world_size + self.rank) * self.batch_size
        order, turn = torch.empty(0), -1
        while True:
            draws = []
            for at in range(position, position + self.batch_size):
                if at // self.photographs != turn:
                    turn = at // self.photographs
                    order = self._order(generator_of(self.seed, turn))
                draws.append(Draw(int(order[at % self.photographs]), self.seed * 1_000_003 + at))
            yield draws
            position += self.batch_size * self.world_size

    def _order(self, generator: torch.Generator) -> Tensor:
        blocks = self.blocks or [self.photographs]
        firsts = [0, *accumulate(blocks)]
        turns = torch.randperm(len(blocks), generator=generator).tolist() if self.blocks else [0]
        return torch.cat([firsts[n] + torch.randperm(blocks[n], generator=generator) for n in turns])


class PhotographDataset(Dataset[Batch]):
    """Photographs with their labels (-1 for unknown), by draw; for one that cannot be read the next stands in."""

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], transform: Transform) -> None:
        self.paths, self.labels, self.transform = list(paths), list(labels), transform

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Return the path of a photograph."""
        return str(self.paths[index].absolute())

    def read(self, index: int) -> tuple[Tensor, int]:
        """Return one photograph, RGB uint8, (H, W, 3), and its label; raises as `read_image` does."""
        return read_uint8(self.paths[index], at_least=self.transform.at_least), self.labels[index]

    def __getitem__(self, draw: Draw | int) -> Batch:
        index, seed = draw if isinstance(draw, Draw) else Draw(draw, seed=draw)
        begin = time.perf_counter()
        for attempt in range(len(self)):
            try:
                image, label = self.read((index + attempt) % len(self))
            except (ValueError, OSError) as error:
                log.warning("left out: %s", error)
                continue
            image = self.transform(image.permute(2, 0, 1), generator_of(seed)).permute(1, 2, 0)
            return Batch(image, torch.tensor(label), time.perf_counter() - begin)
        raise ValueError(f"none of the {len(self)} photographs can be read; the first is {self.name(0)}")
