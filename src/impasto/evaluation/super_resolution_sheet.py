"""A contact sheet of crops: low resolution, each method, truth, pixel for pixel."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from impasto.files import whole_file
from impasto.images import to_uint8

_GAP, _EDGE = 8, 20  # pixels
_LINE = 24  # of text
_INK, _PALE = "#1c1c1e", "#63636b"


class Row(NamedTuple):
    """A row of the sheet.

    Attributes:
        title: what is shown, above its row.
        pictures: RGB in [0, 1], (3, S, S) each.
        captions: below each.
    """

    title: str
    pictures: Sequence[Tensor]
    captions: Sequence[str]


def write_sheet(path: Path, columns: Sequence[str], rows: Sequence[Row], *, cell: int, note: str) -> None:
    """Write a contact sheet; pictures are enlarged by repeating pixels, so that what is seen is what was made.

    Args:
        path: of the PNG.
        columns: their titles.
        rows: pictures, each with as many as there are columns.
        cell: side of a shown picture, best a multiple of the side of each.
        note: below all.
    """
    step, height = cell + _GAP, cell + 2 * _LINE + _GAP
    size = (2 * _EDGE + step * len(columns) - _GAP, 2 * _EDGE + 2 * _LINE + height * len(rows))
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    title, text = ImageFont.load_default(size=17), ImageFont.load_default(size=14)
    for x, name in enumerate(columns):
        draw.text((_EDGE + x * step + cell // 2, _EDGE + _LINE // 3), name, fill=_INK, font=title, anchor="mm")
    for y, row in enumerate(rows):
        top = _EDGE + _LINE + y * height
        draw.text((_EDGE, top + _LINE // 2), row.title, fill=_PALE, font=text, anchor="lm")
        for x, (picture, caption) in enumerate(zip(row.pictures, row.captions, strict=True)):
            left = _EDGE + x * step
            shown = Image.fromarray(to_uint8(picture)).resize((cell, cell), Image.Resampling.NEAREST)
            canvas.paste(shown, (left, top + _LINE))
            place = (left + cell // 2, top + _LINE + cell + _LINE // 2 + 1)
            draw.text(place, caption, fill=_INK, font=text, anchor="mm")
    draw.text((_EDGE, size[1] - _EDGE), note, fill=_PALE, font=text, anchor="ls")
    with whole_file(path) as temporary:
        canvas.save(temporary)
