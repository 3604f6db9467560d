"""Photographs with their scenes: Places, or any data set in one of its layouts."""

import logging
import math
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Unpack

from impasto.data.chroma import measure_chroma
from impasto.data.layouts import UNKNOWN, Labelled, Layout
from impasto.data.photographs import Loading, Photographs
from impasto.listing import find_images

log = logging.getLogger(__name__)


class Places(Photographs):
    """Photographs of scenes (Zhou 2014, 2017), without the grey ones.

    Args:
        root: the folder of the data set.
        layout: finds classes and photographs in it.
        unlabelled: files, folders or patterns of further photographs to train on, whose scenes are not known; those
            that the layout finds too are passed over.
        least_chroma: photographs whose colours spread less (see `chroma_spread`) are left out; 0 measures none.
        loading: as `Loading` says; a batch of at least 2, for batch norm.

    Raises:
        ValueError: a batch of less than 2, or no photograph with colour; and what the layout refuses (by `setup`).

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
        **loading: Unpack[Loading],
    ) -> None:
        if loading["batch_size"] < 2:
            raise ValueError(f"expected data.batch_size of at least 2 (batch norm), got {loading['batch_size']}")
        if least_chroma is None or not 0 <= least_chroma < math.inf:
            raise ValueError(f"expected data.least_chroma of at least 0 (which leaves none out), got {least_chroma}")
        super().__init__(train=[], val=[], **loading)
        self.root, self.find, self.least_chroma = Path(root).expanduser(), layout, least_chroma
        self.unlabelled = [unlabelled] if isinstance(unlabelled, str) else list(unlabelled)

    def prepare_data(self) -> None:
        """Find the photographs and measure their colours, before other processes ask for them."""
        _ = self.layout

    @cached_property
    def layout(self) -> Layout:
        """Where the photographs that have colour are: found and measured once."""
        classes, train, val = self.find(self.root)
        own = [item.path for item in (*train, *val)]
        known = {os.path.abspath(path) for path in own}  # noqa: PTH100 (asks no disk)
        further = {source: [item.path for item in find_images(source)] for source in self.unlabelled}
        new = {os.path.abspath(path): path for paths in further.values() for path in paths}  # noqa: PTH100
        train = [*train, *(Labelled(path, UNKNOWN) for name, path in new.items() if name not in known)]
        if not self.least_chroma:
            return Layout(classes, train, val)
        chroma = measure_chroma(own, self.root, workers=self.num_workers)
        for source, paths in further.items():
            folder = Path(source).expanduser() if Path(source).expanduser().is_dir() else paths[0].parent
            chroma |= measure_chroma(paths, folder, workers=self.num_workers)
        coloured = [[item for item in items if chroma[item.path] >= self.least_chroma] for items in (train, val)]
        for purpose, before, after in zip(("train", "validate"), (train, val), coloured, strict=True):
            if not after:
                raise ValueError(
                    f"no photographs of {self.root} are left to {purpose} on: of all {len(before)} the colours spread "
                    f"less than data.least_chroma={self.least_chroma}, or cannot be read; 0 leaves none out"
                )
        log.info(
            "%d of %d photographs to train on and %d of %d held out have colour; %d classes",
            len(coloured[0]), len(train), len(coloured[1]), len(val), len(classes),
        )  # fmt: skip
        return Layout(classes, *coloured)
