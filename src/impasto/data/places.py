"""Photographs with their scenes: Places, or any data set in one of its layouts."""

import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from impasto.data.chroma import measure_chroma
from impasto.data.layouts import Layout
from impasto.data.photographs import UNKNOWN, Labelled, Photographs, Transform, as_list
from impasto.listing import find_images

log = logging.getLogger(__name__)


class Places(Photographs):
    """Photographs of scenes (Zhou 2014, 2017), without the grey ones.

    Args:
        root: the folder of the data set.
        layout: finds classes and photographs in it.
        unlabelled: files, folders or patterns of further photographs to train on, whose scenes nobody told; those that
            the layout finds too are passed over.
        least_chroma: photographs whose colours spread less (see `chroma_spread`) are left out; 0 measures none.
        train_transform: to squares of one size.
        val_transform: likewise, nothing random.
        batch_size: photographs in a batch; at least 2, for batch norm.
        num_workers: processes that read; 0 reads in the training process.
        seed: of order and crops.
        val_limit: validate on at most this many photographs, spread evenly over all; None uses all.
        skip: a text file with one path or file name a line, as `impasto verify` writes it; those are left out.

    Raises:
        FileNotFoundError: the data set is not there, or a photograph that the lists of Places205 name (raised by
            `setup`).
        ValueError: a batch of less than 2, no photograph with colour, or what the layout refuses.

    Source:
        Iizuka 2016: 205 scenes, images that are grey or have little variation of colour removed.
    """

    def __init__(
        self,
        *,
        root: str,
        layout: Callable[[Path], Layout],
        unlabelled: Sequence[str],
        least_chroma: float,
        train_transform: Transform,
        val_transform: Transform,
        batch_size: int,
        num_workers: int,
        seed: int,
        val_limit: int | None,
        skip: str | None,
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"expected data.batch_size of at least 2 (batch norm), got {batch_size}")
        if least_chroma is None or not 0 <= least_chroma < math.inf:
            raise ValueError(f"expected data.least_chroma of at least 0 (which leaves none out), got {least_chroma}")
        self.root, self.layout = Path(root).expanduser(), layout
        self.unlabelled, self.least_chroma = as_list(unlabelled), least_chroma
        self._found: Layout | None = None
        self._measured: dict[Path, float] | None = None
        super().__init__(
            train=[],
            val=[],
            train_transform=train_transform,
            val_transform=val_transform,
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            val_limit=val_limit,
            skip=skip,
        )

    @property
    def classes(self) -> list[str]:
        """Names of the scenes."""
        return self._all().classes

    def _all(self) -> Layout:
        if self._found is None:
            self._found = self.layout(self.root)
        return self._found

    def prepare_data(self) -> None:
        """Measure the photographs' colours, once for all processes."""
        self._spread()

    def setup(self, stage: str) -> None:
        """Find the photographs and leave out the grey ones."""
        del stage
        found, spread = self._all(), self._spread()
        train, held_out = [*found.train, *self._further()], found.val
        kept = [[i for i in items if spread.get(i.path, math.inf) >= self.least_chroma] for items in (train, held_out)]
        for what, before, after in zip(("train", "validate"), (train, held_out), kept, strict=True):
            if not after:
                raise ValueError(
                    f"no photographs of {self.root} are left to {what} on: of all {len(before)} the colours spread "
                    f"less than data.least_chroma={self.least_chroma}, or cannot be read; 0 leaves none out"
                )
        if self.least_chroma and not hasattr(self, "train_paths"):  # Lightning asks more than once
            log.info(
                "%d of %d photographs to train on and %d of %d held out have colour; %d classes",
                len(kept[0]), len(train), len(kept[1]), len(held_out), len(found.classes),
            )  # fmt: skip
        self._keep(*kept)

    def _further(self) -> list[Labelled]:
        if not self.unlabelled:
            return []
        found = self._all()
        known = {os.path.abspath(item.path) for item in (*found.train, *found.val)}  # noqa: PTH100 (asks no disk)
        further = [item.path for item in find_images(self.unlabelled)]
        return [Labelled(path, UNKNOWN) for path in further if os.path.abspath(path) not in known]  # noqa: PTH100

    def _spread(self) -> dict[Path, float]:
        if self._measured is None:
            self._measured = self._measure() if self.least_chroma else {}
        return self._measured

    def _measure(self) -> dict[Path, float]:
        found = self._all()
        spread = measure_chroma([i.path for i in (*found.train, *found.val)], self.root, workers=self.num_workers)
        for source in self.unlabelled:
            paths = [item.path for item in find_images(source)]
            folder = Path(source).expanduser() if Path(source).expanduser().is_dir() else paths[0].parent
            spread |= measure_chroma(paths, folder, workers=self.num_workers)
        return spread
