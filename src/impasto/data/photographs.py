"""Any folder or list of photographs as training and validation data."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from impasto.chance import generator_of
from impasto.group import usable_cores
from impasto.images import read_image
from impasto.listing import find_images

log = logging.getLogger(__name__)


class Transform(Protocol):
    """From a photograph of any size to a square of one size."""

    @property
    def at_least(self) -> int | None:
        """Shorter side in pixels below which decoding would lose detail; None wants every pixel."""

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size)."""


class Batch(NamedTuple):
    """Photographs, their scenes, and the seconds that reading each of them took.

    Attributes:
        image: RGB float32 in [0, 1], (N, 3, size, size).
        label: (N,), index of the scene; -1 where nobody told it.
        seconds: (N,), decoding, cropping and resizing.
    """

    image: Tensor
    label: Tensor
    seconds: Tensor


UNKNOWN = -1  # the label of a photograph whose scene nobody told


class Labelled(NamedTuple):
    """A photograph's file and the index of its scene."""

    path: Path
    label: int


class Draw(NamedTuple):
    """Which photograph to take, and the seed of everything random about it."""

    photograph: int
    seed: int


class EndlessBatches:
    """Batches without end, each determined by the seed and its number alone, so that training resumes anywhere.

    Every photograph comes once before any comes twice; the order is shuffled anew each time round.

    Args:
        photographs: how many there are.
        batch_size: of this process.
        seed: of order and crops.
        first: number of the first batch.
        rank: of this process.
        world_size: number of processes, which share out the photographs without overlap.
    """

    def __init__(self, photographs: int, batch_size: int, *, seed: int, first: int, rank: int, world_size: int) -> None:
        self.photographs, self.batch_size, self.seed = photographs, batch_size, seed
        self.first, self.rank, self.world_size = first, rank, world_size

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield the draws of each batch."""
        position = (self.first * self.world_size + self.rank) * self.batch_size
        order, turn = torch.empty(0), -1
        while True:
            draws = []
            for at in range(position, position + self.batch_size):
                if at // self.photographs != turn:
                    turn = at // self.photographs
                    order = torch.randperm(self.photographs, generator=generator_of(self.seed, turn))
                draws.append(Draw(int(order[at % self.photographs]), self.seed * 1_000_003 + at))
            yield draws
            position += self.batch_size * self.world_size


class PhotographDataset(Dataset[Batch]):
    """Photographs by draw. One that cannot be read costs a warning and is replaced by the next.

    Args:
        paths: the files.
        labels: of their scenes; -1 where nobody told it.
        transform: to a square of one size.
    """

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], transform: Transform) -> None:
        self.paths, self.labels = list(paths), list(labels)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, draw: Draw | int) -> Batch:
        """Read, transform and time one photograph.

        Raises:
            ValueError: not one of them can be read.
        """
        index, seed = draw if isinstance(draw, Draw) else Draw(draw, seed=draw)
        begin = time.perf_counter()
        for attempt in range(len(self.paths)):
            taken = (index + attempt) % len(self.paths)
            try:
                image = read_image(self.paths[taken], at_least=self.transform.at_least)
            except (ValueError, OSError) as error:
                log.warning("left out: %s", error)
                continue
            image = self.transform(image, generator_of(seed))
            return Batch(image, torch.tensor(self.labels[taken]), torch.tensor(time.perf_counter() - begin))
        raise ValueError(f"none of the {len(self.paths)} photographs can be read; the first is {self.paths[0]}")


class Photographs(LightningDataModule):
    """Photographs from folders, files or patterns.

    Training batches never end; the trainer's `max_steps` says how many are used.

    Args:
        train: folders, files or patterns to train on.
        val: likewise, held out.
        train_transform: to squares of one size.
        val_transform: likewise, nothing random.
        batch_size: photographs in a batch.
        num_workers: processes that read, at most as many as this process has cores; 0 reads in the training process.
        seed: of order and crops.
        val_limit: validate on at most this many photographs, spread evenly over all; None uses all.
        skip: a text file with one path or file name a line, as `impasto verify` writes it; those are left out.

    Raises:
        FileNotFoundError: a folder or file that does not exist (raised by `setup`).
        ValueError: a folder without photographs, or a batch size or limit below 1.
    """

    def __init__(
        self,
        *,
        train: Sequence[str],
        val: Sequence[str],
        train_transform: Transform,
        val_transform: Transform,
        batch_size: int,
        num_workers: int,
        seed: int,
        val_limit: int | None,
        skip: str | None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"expected data.batch_size of at least 1, got {batch_size}")
        if val_limit is not None and val_limit < 1:
            raise ValueError(f"expected data.val_limit of at least 1, or null for all, got {val_limit}")
        self.train_sources, self.val_sources = as_list(train), as_list(val)
        self.train_transform, self.val_transform = train_transform, val_transform
        self.batch_size, self.seed = batch_size, seed
        self.num_workers = min(num_workers, usable_cores())
        self.val_limit, self.skip = val_limit, skip

    def setup(self, stage: str) -> None:
        """Find the files."""
        del stage
        self._keep(
            [Labelled(found.path, UNKNOWN) for found in find_images(self.train_sources)],
            [Labelled(found.path, UNKNOWN) for found in find_images(self.val_sources)],
        )

    def _keep(self, train: Sequence[Labelled], val: Sequence[Labelled]) -> None:
        """Leave out what is to be skipped and what is beyond the limit."""
        skipped = _lines(Path(self.skip).expanduser()) if self.skip else set()
        train, held_out = (
            [item for item in items if not {item.path.name, str(item.path.absolute())} & skipped]
            for items in (train, val)
        )
        if not train or not held_out:
            raise ValueError(f"data.skip={self.skip} leaves no photographs to train or to validate on")
        count = min(self.val_limit or len(held_out), len(held_out))
        held_out = [held_out[index * len(held_out) // count] for index in range(count)]
        self.train_paths, self.train_labels = [i.path for i in train], [i.label for i in train]
        self.val_paths, self.val_labels = [i.path for i in held_out], [i.label for i in held_out]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Move a batch, but not the seconds, which the host looks at in every step."""
        return super().transfer_batch_to_device(batch, device, dataloader_idx)._replace(seconds=batch.seconds)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Endless batches, from the step at which the trainer stands."""
        steps, rank, world_size = 0, 0, 1
        if self.trainer is not None:
            steps = self.trainer.global_step * self.trainer.accumulate_grad_batches
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
        batches = EndlessBatches(
            len(self.train_paths), self.batch_size, seed=self.seed, first=steps, rank=rank, world_size=world_size
        )
        return self._loader(self._train_dataset(), batch_sampler=batches)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The held-out photographs, once and in order."""
        return self._loader(self._val_dataset(), batch_size=self.batch_size)

    def _train_dataset(self) -> Dataset[Any]:
        return PhotographDataset(self.train_paths, self.train_labels, self.train_transform)

    def _val_dataset(self) -> Dataset[Any]:
        return PhotographDataset(self.val_paths, self.val_labels, self.val_transform)

    def _loader(self, dataset: Dataset[Any], **options: object) -> DataLoader[Batch]:
        build: Callable[..., DataLoader[Batch]] = DataLoader
        if self.trainer is not None:
            self.num_workers = min(self.num_workers, usable_cores(processes=self.trainer.num_devices))
        return build(
            dataset,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            **options,
        )


def _lines(file: Path) -> set[str]:
    return set(file.read_text(encoding="utf-8", errors="surrogateescape").split("\n"))


def as_list(sources: Sequence[str]) -> list[str]:
    """Take one source for a list of one."""
    return [sources] if isinstance(sources, str) else list(sources)
