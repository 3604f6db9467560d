"""How much colour a photograph has: measured once for a whole data set and remembered beside it."""

import csv
import hashlib
import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader

from impasto.color import lab
from impasto.files import cache_file, whole_file
from impasto.images import read_image, resize_longer_side

log = logging.getLogger(__name__)

FILE = "impasto_chroma.csv"
_ANYBODY_MAY_WRITE = 0o222
_MANY = 500  # photographs for which processes are started, which takes seconds


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
    kept = _file(root)
    known = _remembered(root / FILE) | _remembered(kept)
    sizes = {path: path.stat().st_size for path in paths}
    keys = {path: os.path.relpath(path, root) for path in paths}
    new = [path for path in paths if known.get(keys[path], (0, 0.0))[0] != sizes[path]]
    if new:
        log.info("measuring the colour of %d photographs, once", len(new))
        several = workers if len(new) >= _MANY else 0
        build: Callable[..., DataLoader[float]] = DataLoader
        spreads = build(new, batch_size=None, collate_fn=chroma_spread, num_workers=several)
        try:
            for path, spread in zip(
                new, track(spreads, description="colour", console=Console(stderr=True)), strict=True
            ):
                known[keys[path]] = (sizes[path], spread)
        finally:  # also what was measured before a Ctrl-C
            rows = [(name, size, spread) for name, (size, spread) in known.items() if math.isfinite(spread)]
            with (
                whole_file(kept) as part,
                part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
            ):
                csv.writer(file).writerows([("file", "bytes", "spread"), *rows])
    return {path: known[keys[path]][1] for path in paths}


def _file(root: Path) -> Path:
    if os.access(root, os.W_OK) and root.stat().st_mode & _ANYBODY_MAY_WRITE:  # root may where nobody is meant to
        return root / FILE
    name = hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:16]
    return cache_file(f"chroma_{name}.csv")


def _remembered(file: Path) -> dict[str, tuple[int, float]]:
    if not file.is_file():
        return {}
    try:
        with file.open(newline="", encoding="utf-8", errors="surrogateescape") as opened:
            return {row["file"]: (int(row["bytes"]), float(row["spread"])) for row in csv.DictReader(opened)}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        log.warning("%s cannot be read (%r); the colours are measured again", file, error)
        return {}
