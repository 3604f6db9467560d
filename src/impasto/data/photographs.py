"""Photographs as data to train and validate on: what all data sets share; folders, files or patterns; MS-COCO."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack
from urllib.error import URLError

import torch
from filelock import FileLock
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets.utils import download_and_extract_archive

from impasto.data.batches import Batch, EndlessBatches, PhotographDataset, Transform, collate
from impasto.data.layouts import UNKNOWN, Labelled, Layout
from impasto.group import usable_cores
from impasto.images import from_uint8
from impasto.listing import evenly_spread, find_images

_URL = "http://images.cocodataset.org/zips/{split}.zip"
_MD5 = {
    "train2014": "0da8c0bd3d6becc4dcb32757491aca88",  # 13 GB, 82,783 photographs
    "val2014": "a3d79f5ed8d289b7a7554ce06a5782b3",  # 6 GB, 40,504
    "train2017": "cced6f7f71b7629ddf16f17bbcfab6b2",  # 18 GB, 118,287
    "val2017": "442b8da7639aecaf257c1dceb8ba8c80",  # 1 GB, 5,000
}


class Loading(TypedDict):
    """The arguments that all data sets share."""

    train_transform: Transform  # to squares of one size
    val_transform: Transform  # likewise, nothing random
    batch_size: int  # photographs in a batch of one process
    num_workers: int  # processes that read, at most as many as there are cores; 0 reads in the training process
    seed: int  # of order and crops
    val_limit: int | None  # validate on at most this many photographs, spread evenly over all; None uses all
    skip: str | None  # a text file with one path or file name a line, as `impasto verify` writes it; left out


class PhotographModule(LightningDataModule):
    """What data of files and of shards have in common: checked arguments, workers, loaders; training never ends."""

    blocks: Sequence[int] = ()  # in which the photographs to train on lie (`EndlessBatches`)

    def __init__(self, **loading: Unpack[Loading]) -> None:
        super().__init__()
        self.batch_size, self.val_limit = loading["batch_size"], loading["val_limit"]
        if self.batch_size < 1:
            raise ValueError(f"expected data.batch_size of at least 1, got {self.batch_size}")
        if self.val_limit is not None and self.val_limit < 1:
            raise ValueError(f"expected data.val_limit of at least 1, or null for all, got {self.val_limit}")
        self.train_transform, self.val_transform = loading["train_transform"], loading["val_transform"]
        self.seed, self.skip = loading["seed"], loading["skip"]
        self.num_workers = min(loading["num_workers"], usable_cores())

    def skipped(self) -> set[str]:
        """Read the paths and names of the photographs that are left out."""
        if not self.skip:
            return set()
        return set(Path(self.skip).expanduser().read_text(encoding="utf-8", errors="surrogateescape").split("\n"))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Scale images to [0, 1] where they are used: as uint8 they take a quarter of the way there."""
        return type(batch)(
            *(from_uint8(part) if isinstance(part, Tensor) and part.dtype == torch.uint8 else part for part in batch)
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Endless batches, from the step at which the trainer stands."""
        dataset = self.dataset("train", self.train_transform)
        first = 0 if self.trainer is None else self.trainer.global_step * self.trainer.accumulate_grad_batches
        rank, size = self._place()
        batches = EndlessBatches(
            len(dataset), self.batch_size, seed=self.seed, first=first, rank=rank, world_size=size, blocks=self.blocks
        )
        return self._loader(dataset, batch_sampler=batches)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The held-out photographs, once and in order; of several processes each has its share."""
        dataset = self.dataset("val", self.val_transform)
        rank, size = self._place()
        if len(dataset) < size:
            raise ValueError(f"expected a photograph to validate on for each of {size} processes, got {len(dataset)}")
        return self._loader(dataset, batch_size=self.batch_size, sampler=range(rank, len(dataset), size))

    def dataset(self, split: str, transform: Transform) -> PhotographDataset:
        """Return the single photographs of "train" or "val"."""
        raise NotImplementedError

    def _place(self) -> tuple[int, int]:
        """Rank of this process and number of all."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _loader(self, dataset: Dataset[Any], **options: object) -> DataLoader[Batch]:
        build: Callable[..., DataLoader[Batch]] = DataLoader
        processes = 1 if self.trainer is None else self.trainer.num_devices
        workers, on_gpu = min(self.num_workers, usable_cores(processes=processes)), torch.cuda.is_available()
        always = {"persistent_workers": workers > 0, "pin_memory": on_gpu, "collate_fn": collate}
        return build(dataset, num_workers=workers, **always, **options)


class Photographs(PhotographModule):
    """Photographs from folders, files or patterns.

    Args:
        train: folders, files or patterns to train on; `setup` refuses those without photographs.
        val: likewise, held out.
        loading: as `Loading` says; a ValueError where a batch size or limit is below 1.
    """

    def __init__(self, *, train: Sequence[str], val: Sequence[str], **loading: Unpack[Loading]) -> None:
        super().__init__(**loading)
        self.train_sources, self.val_sources = train, val

    @cached_property
    def layout(self) -> Layout:
        """Where the photographs are: found once."""
        train, val = find_images(self.train_sources), find_images(self.val_sources)
        return Layout([], *([Labelled(found.path, UNKNOWN) for found in part] for part in (train, val)))

    @property
    def classes(self) -> list[str]:
        """Names of the scenes; none where they are not known."""
        return self.layout.classes

    def setup(self, stage: str) -> None:
        """Find the files; leave out what is to be skipped and what is beyond the limit."""
        skipped = self.skipped()
        train, val = (
            [item for item in items if not {item.path.name, str(item.path.absolute())} & skipped]
            for items in (self.layout.train, self.layout.val)
        )
        if not train or not val:
            raise ValueError(f"data.skip={self.skip} leaves no photographs to train or to validate on")
        val = evenly_spread(val, self.val_limit)
        self.train_paths, self.train_labels = [item.path for item in train], [item.label for item in train]
        self.val_paths, self.val_labels = [item.path for item in val], [item.label for item in val]

    def dataset(self, split: str, transform: Transform) -> PhotographDataset:
        """Return the single photographs of "train" or "val"."""
        paths, labels = (getattr(self, f"{split}_{what}") for what in ("paths", "labels"))
        return PhotographDataset(paths, labels, transform)


class Coco(Photographs):
    """MS-COCO (Lin 2014) in its own layout: <root>/train2017/*.jpg and <root>/val2017/*.jpg, or 2014.

    Args:
        root: the folder that holds `train2017` and so on.
        year: "2014" (the paper's 80,000) or "2017" (the same photographs, split anew).
        download: fetch and unpack what is missing, checksums compared; 19 GB for either year.

    Raises:
        OSError: a split that is neither there nor to be downloaded, or a failed download (raised by `prepare_data`).
    """

    def __init__(self, *, root: str, year: str, download: bool, **loading: Unpack[Loading]) -> None:
        self.splits = [f"train{year}", f"val{year}"]
        if self.splits[0] not in _MD5:
            raise ValueError(f"expected data.year=2014 or data.year=2017, got {year}")
        self.root, self.download = Path(root).expanduser(), download
        train, val = ([str(self.root / split)] for split in self.splits)
        super().__init__(train=train, val=val, **loading)

    def prepare_data(self) -> None:
        """Download and unpack what is missing; a split's folder appears only when it is complete."""
        for split in self.splits:
            if (self.root / split).is_dir():
                continue
            if not self.download:
                advice = f"data.root=<folder with {' and '.join(self.splits)}>, or data.download=true (19 GB)"
                raise FileNotFoundError(f"no folder {self.root / split}; give {advice}")
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(lock := self.root / f".{split}.lock"):  # processes that were started together
                try:
                    if not (self.root / split).is_dir():
                        self._download(split)
                finally:
                    lock.unlink(missing_ok=True)

    def _download(self, split: str) -> None:
        url, part = _URL.format(split=split), self.root / f".{split}.part"
        try:
            download_and_extract_archive(url, str(self.root), str(part), md5=_MD5[split], remove_finished=True)
        except (URLError, RuntimeError, TimeoutError, ConnectionError) as error:
            raise ConnectionError(f"could not download {url} ({error}); unpack it into {self.root}") from error
        (part / split).rename(self.root / split)
        part.rmdir()
