"""The report: one HTML file with everything inside it, which asks no host for anything."""

import base64
import hashlib
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from impasto.listing import SUFFIXES
from impasto.report import record
from impasto.report.record import Comparison, Picture, Run
from impasto.report.rendering import clean, write_page
from impasto.run_folders import PASSED_OVER, RunFolder, open_inside
from impasto.srgb import pixels_of
from impasto.tracking.bar import Bar

_PICTURES = 11_000_000  # bytes of all pictures; the page must still open in a second
_MOST_STEPS = 6  # of samples: the newest, and others evenly before it
_RESULTS = frozenset({"images", "overwrite"})  # keys of the commands whose results are pictures
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # others, such as EPS, start programs
_MOST_PIXELS = 50_000_000  # of a file's picture
Small = tuple[str, int, int, int, str]  # what a picture has once it is small: its uri, number, width, height, full
_SIDES = ((100, 720), (250, 480), (10**9, 320))  # longer side in pixels, by the number of pictures


def write_report(sources: Sequence[str], path: Path) -> list[Run]:
    """Write one HTML file, whole, about all run folders that are named or below named folders.

    Returns:
        The runs, with what could not be read of each.

    Raises:
        ValueError: a source without a run, or a path that is no name of a page.
        OSError: a source that does not exist, or a file that cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir():
        raise ValueError(f"expected output=<file>.html, got {path}{', a folder' if path.is_dir() else ''}")
    folders = find_runs(sources)
    runs = [record.read_run(folder, name) for folder, name in zip(folders, names_of(folders), strict=True)]
    side = add_pictures(runs)
    write_page(
        path,
        "report.html.j2",
        styles=("report.css",),
        scripts=("table.js", "scales.js", "curves.js", "compare.js"),
        side=side,
        title=", ".join(clean(Path(os.path.abspath(source)).name or source) for source in sources),  # noqa: PTH100
        runs=runs,
        statuses=record.count_statuses(runs),
        charts=record.make_charts(runs),
        differences=record.find_differences(runs),
        columns=record.columns_of(runs),
        last=[record.last_values(run) for run in runs],
    )
    return runs


def find_runs(sources: Sequence[str]) -> list[Path]:
    """Find run folders: the named folders themselves, and all below them, however deep, runs within runs included.

    They come each once, in the order of the sources and sorted within each; a source without any is refused.
    """
    if not sources:
        raise ValueError("no folders were given; expected runs=<run folder, multirun, or a folder of them>")
    runs: dict[str, Path] = {}
    for source in sources:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"no such folder: {folder}")
        found = []
        for base, folders, _ in os.walk(folder):
            if is_run := RunFolder(Path(base)).is_run():
                found.append(Path(base))
            below = [name for name in folders if not name.startswith(".") and not (is_run and name in PASSED_OVER)]
            folders[:] = sorted(below, key=record.natural)
        if not found:
            raise ValueError(f"no run folder in {folder}; expected one with config.yaml and status.json, or such below")
        for path in found:
            runs.setdefault(os.path.realpath(path), path)
    return list(runs.values())


def names_of(folders: Sequence[Path]) -> list[str]:
    """Name folders apart: their paths from the folder above all of them; jobs (0, 1, ...) have two."""
    paths = [Path(os.path.abspath(folder)) for folder in folders]  # noqa: PTH100 (links keep their names)
    above = os.path.commonpath([path.parent.parent if path.name.isdigit() else path.parent for path in paths])
    return [path.relative_to(above).as_posix() for path in paths]


def add_pictures(runs: Sequence[Run], budget: int = _PICTURES) -> int:
    """Put as many pictures into the runs as a number of bytes allows; return the longer side that they were given.

    They are spread evenly: a few of each run come before many of one.
    """
    queues = []
    for run in runs:
        run.plots, run.comparisons = find_pictures(run.folder, run.config)
        shown = [picture for c in run.comparisons for picture in (*c.after[:1], c.before, *c.after[1:]) if picture]
        queues.append([(run, picture) for picture in (*run.plots, *shown)])
    wanted = [item for turn in zip_longest(*queues) for item in turn if item]
    side, made = next(side for most, side in _SIDES if len(wanted) <= most), dict[bytes, Small]()
    with Bar(total=len(wanted), log_every_seconds=10.0) as bar:
        for index, (run, picture) in enumerate(wanted):
            bar.update(index, f"reducing {clean(picture.file.name)[-40:]}")
            if sum(len(uri) for uri, *_ in made.values()) > budget:
                run.left_out += 1
                continue
            box = (2 * side, 6 * side) if picture in run.plots else (side, side)  # plots have writing in them
            with run.noting(picture.path):
                add_thumbnail(picture, run.folder, box, made)
    for run in runs:
        run.plots = [picture for picture in run.plots if picture.uri]
        for comparison in run.comparisons:
            comparison.after = [picture for picture in comparison.after if picture.uri]
            comparison.before = comparison.before if comparison.before and comparison.before.uri else None
        run.comparisons = [comparison for comparison in run.comparisons if comparison.after]
    return side


def find_pictures(folder: Path, config: Mapping[str, Any]) -> tuple[list[Picture], list[Comparison]]:
    """Find plots in the run folder itself, and samples and results by photograph; nothing is decoded.

    The run's configuration tells the commands whose pictures are results, not plots.
    """

    def picture(label: str, path: Path) -> Picture:
        return Picture(clean(label), path, clean(path.relative_to(folder).as_posix()))

    run, found = RunFolder(folder), dict[str, Comparison]()
    has_results = config.keys() >= _RESULTS
    plots = [] if has_results else [picture(path.name, path) for path in sorted(folder.glob("[!.]*.png"))]
    tops = {"result": folder} if has_results else {}
    steps = list(run.sample_steps().items())
    kept = sorted({round(i * (len(steps) - 1) / (_MOST_STEPS - 1)) for i in range(_MOST_STEPS)}) if steps else []
    tops |= {f"step {step:,}": samples for step, samples in (steps[index] for index in kept)}
    for label, top in tops.items():
        for path in sorted(top.rglob("*")):
            name = path.relative_to(top)
            if path.suffix.lower() in SUFFIXES and not any(p.startswith(".") or p in PASSED_OVER for p in name.parts):
                key = name.with_suffix("").as_posix()
                found.setdefault(key, Comparison(clean(key))).after.append(picture(label, path))
    for key, comparison in found.items():
        if (before := run.sample_photograph(key)).is_file():
            comparison.before = picture("photograph", before)
    return plots, [found[key] for key in sorted(found)]


def add_thumbnail(picture: Picture, folder: Path, box: tuple[int, int], made: dict[bytes, Small]) -> None:
    """Reduce a picture of a run folder into a box (width, height); those that were `made` before are taken again.

    What is no image, broken, too large, or a link out of the folder is a ValueError.
    """
    with open_inside(picture.file, folder) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a large picture, which is asked below, and of broken metadata
        content = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        if content not in made:
            try:
                with Image.open(file, formats=_FORMATS) as image:
                    full = f"{image.width} x {image.height}"
                    if pixels_of(image) > _MOST_PIXELS:
                        raise Image.DecompressionBombError
                    image.draft("RGB", box)
                    small = ImageOps.exif_transpose(image).convert("RGB")
            except (OSError, SyntaxError, ArithmeticError, TypeError, LookupError) as error:  # of damaged files
                raise ValueError("is damaged, or no image") from error
            except Image.DecompressionBombError as error:
                raise ValueError(f"is too large; at most {_MOST_PIXELS:,} pixels are decoded") from error
            small.thumbnail(box, Image.Resampling.LANCZOS)
            made[content] = (data_uri(small), len(made), *small.size, full)
    picture.uri, picture.number, picture.width, picture.height, picture.full = made[content]


def data_uri(image: Image.Image) -> str:
    """Return a picture as WebP, without the file's metadata (places, cameras), as an address that holds it."""
    data = io.BytesIO()
    image.save(data, "WEBP", quality=80, method=2)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
