"""Photographs with their scenes: Places, or any data set in one of its layouts; how much colour each has."""

import csv
import hashlib
import logging
import math
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Unpack

from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader

from impasto.color import lab
from impasto.data.layouts import UNKNOWN, Labelled, Layout
from impasto.data.photographs import Loading, Photographs
from impasto.files import cache_file
from impasto.images import read_image, resize_longer_side
from impasto.listing import find_images
from impasto.tables import write_csv

log = logging.getLogger(__name__)

FILE = "impasto_chroma.csv"
_ANYBODY_MAY_WRITE = 0o222
_MANY = 500  # photographs for which processes are started, which takes seconds


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


def chroma_spread(path: Path) -> float:
    """Return how far a photograph's colours spread: the root of the variance of a plus that of b, CIE Lab, at 64 px.

    Grey photographs, and those of one tint all over, have next to none. NaN where the file cannot be read.
    """
    try:
        image = resize_longer_side(read_image(path, at_least=64), 64)
    except (ValueError, OSError) as error:
        log.warning("left out: %s", error)
        return math.nan
    spread = float(lab().split(image[None])[0, 1:].flatten(1).var(dim=1, correction=0).sum().sqrt())
    return round(spread, 4)


def measure_chroma(paths: Sequence[Path], root: Path, *, workers: int) -> dict[Path, float]:
    """Return the spread of each photograph of a data set in `root`, measured once by so many processes, and remembered.

    It is remembered in `impasto_chroma.csv` in the data set's folder, or, where that cannot be written, below
    `~/.cache/impasto`. A file that has changed its size is measured again, and one that could not be read.
    """
    kept = root / FILE
    if not os.access(root, os.W_OK) or not root.stat().st_mode & _ANYBODY_MAY_WRITE:  # root may where nobody shall
        kept = cache_file(f"chroma_{hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:16]}.csv")
    known = _remembered(root / FILE) | _remembered(kept)
    sizes = {path: path.stat().st_size for path in paths}
    keys = {path: os.path.relpath(path, root) for path in paths}
    new = [path for path in paths if known.get(keys[path], (0, 0.0))[0] != sizes[path]]
    if new:
        log.info("measuring the colour of %d photographs, once", len(new))
        several = workers if len(new) >= _MANY else 0
        build: Callable[..., DataLoader[float]] = DataLoader
        spreads = build(new, batch_size=None, collate_fn=chroma_spread, num_workers=several)
        shown = track(spreads, description="colour", console=Console(stderr=True))
        try:
            for path, spread in zip(new, shown, strict=True):
                known[keys[path]] = (sizes[path], spread)
        finally:  # also what was measured before a Ctrl-C
            rows = [(name, size, spread) for name, (size, spread) in known.items() if math.isfinite(spread)]
            columns = ("file", "bytes", "spread")
            write_csv(kept, [dict(zip(columns, row, strict=True)) for row in rows], first=columns)
    return {path: known[keys[path]][1] for path in paths}


def _remembered(file: Path) -> dict[str, tuple[int, float]]:
    if not file.is_file():
        return {}
    try:
        with file.open(newline="", encoding="utf-8", errors="surrogateescape") as opened:
            return {row["file"]: (int(row["bytes"]), float(row["spread"])) for row in csv.DictReader(opened)}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        log.warning("%s cannot be read (%r); the colours are measured again", file, error)
        return {}
