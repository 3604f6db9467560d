"""How much colour a photograph has: measured once for a whole data set and remembered beside it."""

import csv
import hashlib
import logging
import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from impasto.color import lab
from impasto.files import whole_file
from impasto.images import read_image, resize_longer_side

log = logging.getLogger(__name__)

FILE = "impasto_chroma.csv"


def chroma_spread(path: Path) -> float:
    """Return how far a photograph's colours spread: the root of the variance of a plus that of b, CIE Lab.

    Grey and sepia photographs have next to none.

    Args:
        path: the file; it is looked at in 64 px.

    Returns:
        Units of Lab; NaN where the file cannot be read.
    """
    try:
        image = resize_longer_side(read_image(path, at_least=64), 64)
    except (ValueError, OSError):
        return math.nan
    return float(lab().split(image[None])[0, 1:].flatten(1).var(dim=1, correction=0).sum().sqrt())


def measure_chroma(paths: Sequence[Path], root: Path, *, workers: int) -> dict[Path, float]:
    """Measure photographs that have not been measured before, and remember them.

    They are remembered in `impasto_chroma.csv` in the data set's folder, or, where that cannot be written, below
    `~/.cache/impasto`. A file that has changed its size is measured again.

    Args:
        paths: the files.
        root: of the data set.
        workers: processes that measure.

    Returns:
        The spread of each.
    """
    known = _remembered(_file(root))
    sizes = {path: path.stat().st_size for path in paths}
    keys = {path: os.path.relpath(path, root) for path in paths}
    new = [path for path in paths if known.get(keys[path], (0, 0.0))[0] != sizes[path]]
    if new:
        log.info("measuring the colour of %d photographs, once", len(new))
        for path, spread in zip(new, _measure(new, workers), strict=True):
            known[keys[path]] = (sizes[path], spread)
        _remember(_file(root), known)
    return {path: known[keys[path]][1] for path in paths}


def _measure(paths: Sequence[Path], workers: int) -> Iterable[float]:
    bar = {"total": len(paths), "description": "colour", "console": Console(stderr=True)}
    if workers < 2 or len(paths) < 500:  # processes take seconds to start
        yield from track(map(chroma_spread, paths), **bar)  # type: ignore[arg-type]
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from track(pool.map(chroma_spread, paths, chunksize=64), **bar)  # type: ignore[arg-type]


def _file(root: Path) -> Path:
    if (root / FILE).is_file() or os.access(root, os.W_OK):
        return root / FILE
    name = hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:16]
    return Path.home() / ".cache" / "impasto" / f"chroma_{name}.csv"


def _remembered(file: Path) -> dict[str, tuple[int, float]]:
    if not file.is_file():
        return {}
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            return {row["file"]: (int(row["bytes"]), float(row["spread"])) for row in csv.DictReader(opened)}
    except (KeyError, TypeError, ValueError):
        log.warning("%s is damaged; the colours are measured again", file)
        return {}


def _remember(file: Path, known: dict[str, tuple[int, float]]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(("file", "bytes", "spread"))
            writer.writerows((name, size, f"{spread:.4f}") for name, (size, spread) in known.items())
    except OSError as error:  # it costs the time of measuring again, nothing else
        log.warning("the colours cannot be remembered in %s: %s", file, error)
