"""The pictures of a sweep's trials, and the contact sheet as PNG: a row a trial, its figures beside its pictures."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from impasto.files import whole_file

_MOST_ROWS, _MOST_COLUMNS = 40, 5
_CELL, _GAP = 160, 4  # pixels
_LETTERS = 26  # of a line beside the pictures


def newest_samples(folder: Path) -> dict[str, Path]:
    """Return a trial's newest sample of each photograph."""
    return {path.name: path for path in sorted(folder.glob("samples/step_*/*.png"))}


def small(path: Path | None, side: int) -> Image.Image:
    """Read a picture, fitted into a square of so many pixels; grey where it is missing or cannot be read."""
    try:
        if path is not None:
            with Image.open(path) as image:
                return ImageOps.contain(image.convert("RGB"), (side, side))
    except (OSError, ValueError, SyntaxError):
        pass
    return Image.new("RGB", (side, side), "#ededed")


def write_sweep_sheet(rows: Sequence[tuple[Sequence[str], Path]], path: Path) -> bool:
    """Write a PNG of the first trials that have pictures, at most 40, below their photographs.

    Args:
        rows: of each trial what stands beside its pictures, and its folder; the best first.
        path: of the PNG.

    Returns:
        Whether it was written: not where no trial has pictures.

    Raises:
        OSError: it cannot be written.
    """
    found = [(lines, samples, folder) for lines, folder in rows if (samples := newest_samples(folder))][:_MOST_ROWS]
    if not found:
        return False
    names = sorted({name for _, samples, _ in found for name in samples})[:_MOST_COLUMNS]
    first: Mapping[str, Path] = {name: found[0][2] / "samples" / "photographs" / name for name in names}
    step = _CELL + _GAP
    canvas = Image.new("RGB", (step * (len(names) + 1) - _GAP, step * (len(found) + 1) - _GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=11)
    for y, (lines, pictures) in enumerate(
        [(["photographs"], first), *((lines, samples) for lines, samples, _ in found)]
    ):
        wrapped = [part for line in lines for part in textwrap.wrap(line, _LETTERS)]
        draw.multiline_text((6, y * step + 6), "\n".join(wrapped[:11]), fill="#1e2226", font=font, spacing=2)
        for x, name in enumerate(names, start=1):
            canvas.paste(small(pictures.get(name), _CELL), (x * step, y * step))
    with whole_file(path) as temporary:
        canvas.save(temporary)
    return True
