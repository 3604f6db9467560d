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

    Raises:
        ValueError: no photograph with colour, and what the layout refuses (by `setup`).

    Source: Iizuka 2016: 205 scenes, images that are grey or have little variation of colour removed.
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
        if not 0 <= least_chroma < math.inf:
            raise ValueError(f"expected data.least_chroma of at least 0 (which leaves none out), got {least_chroma}")
        super().__init__(train=[], val=[], **loading)
        self.root, self.find, self.least_chroma = Path(root).expanduser(), layout, least_chroma
        self.unlabelled = unlabelled

    def prepare_data(self) -> None:
        """Find the photographs and measure their colours, before other processes ask for them."""
        _ = self.layout

    @cached_property
    def layout(self) -> Layout:
        """Where the photographs that have colour are: found and measured once."""
        classes, train, val = self.find(self.root)
        known = {os.path.abspath(path) for path, _ in (*train, *val)}  # noqa: PTH100 (asks no disk)
        further = [found.path for found in find_images(self.unlabelled)] if self.unlabelled else []
        train = train + [Labelled(path, UNKNOWN) for path in further if os.path.abspath(path) not in known]  # noqa: PTH100
        if not self.least_chroma:
            return Layout(classes, train, val)
        chroma = measure_chroma([path for path, _ in (*train, *val)], self.root, workers=self.num_workers)
        coloured = [[item for item in items if chroma[item.path] >= self.least_chroma] for items in (train, val)]
        if not all(coloured):
            purpose = "validate" if coloured[0] else "train"
            grey = f"the colours of all spread less than data.least_chroma={self.least_chroma}, or cannot be read"
            raise ValueError(f"no photographs of {self.root} are left to {purpose} on: {grey}; 0 leaves none out")
        log.info(
            "%d of %d photographs to train on and %d of %d held out have colour; %d classes",
            len(coloured[0]), len(train), len(coloured[1]), len(val), len(classes),
        )  # fmt: skip
        return Layout(classes, *coloured)
