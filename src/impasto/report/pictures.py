"""The pictures of a run folder, and how each becomes small enough for a page."""

import base64
import hashlib
import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from PIL import Image, ImageOps

from impasto.listing import SUFFIXES
from impasto.report.rendering import clean
from impasto.run_folders import PASSED_OVER, RunFolder, open_inside
from impasto.srgb import pixels_of

_MOST_STEPS = 6  # of samples: the newest, and others evenly before it
_RESULTS = frozenset({"images", "overwrite"})  # keys of the commands whose results are pictures
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # others, such as EPS, start programs
_MOST_PIXELS = 50_000_000


class Thumbnail(NamedTuple):
    """A picture in the page."""

    number: int  # a picture that is shown again has the number of the first
    uri: str  # data:image/webp;base64,...
    width: int  # of the reduced picture, in pixels
    height: int
    full: str  # size of the file's picture: "1024 x 768"


@dataclass
class Picture:
    """A picture of a run, and what the page shows of it once it has been made small."""

    label: str  # "photograph", "step 700", "result", or the file's name
    file: Path
    path: str  # of the file, as it is shown
    thumbnail: Thumbnail | None = None


@dataclass
class Comparison:
    """A photograph and what became of it, the newest first."""

    name: str
    before: Picture | None = None
    after: list[Picture] = field(default_factory=list)


def find_pictures(folder: Path, config: Mapping[str, Any]) -> tuple[list[Picture], list[Comparison]]:
    """Find plots in the run folder itself, and samples and results by photograph; nothing is decoded.

    Args:
        folder: the run folder.
        config: its configuration, which tells the commands whose pictures are results, not plots.
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
        for path in _images(top):
            name = path.relative_to(top).with_suffix("").as_posix()
            found.setdefault(name, Comparison(clean(name))).after.append(picture(label, path))
    for name, comparison in found.items():
        if (before := run.sample_photograph(name)).is_file():
            comparison.before = picture("photograph", before)
    return plots, [found[name] for name in sorted(found)]


def _images(top: Path) -> Iterator[Path]:
    for path in sorted(top.rglob("*")):
        parts = path.relative_to(top).parts
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") or part in PASSED_OVER for part in parts):
            yield path


def add_thumbnail(picture: Picture, folder: Path, box: tuple[int, int], made: dict[bytes, Thumbnail]) -> None:
    """Reduce a picture of a run folder into a box (width, height); those that were `made` before are taken again.

    Raises:
        ValueError: no image, broken, too large, or a link out of the folder.
        OSError: it cannot be read.
    """
    with open_inside(picture.file, folder) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a large picture, which is asked below, and of broken metadata
        content = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        if content not in made:
            image, full = _decode(file, box)
            made[content] = Thumbnail(len(made), data_uri(image), *image.size, full)
    picture.thumbnail = made[content]


def _decode(file: BinaryIO, box: tuple[int, int]) -> tuple[Image.Image, str]:
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
    return small, full


def data_uri(image: Image.Image) -> str:
    """Return a picture as WebP, without the file's metadata (places, cameras), as an address that holds it."""
    data = io.BytesIO()
    image.save(data, "WEBP", quality=80, method=2)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
