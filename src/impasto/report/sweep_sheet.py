"""The contact sheet of a sweep as PNG: a row a trial, the best first, its figures beside its pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from impasto.images import read_image, sheet, write_image
from impasto.report.sweep_rows import Row, last_pictures, make_rows
from impasto.report.sweep_shown import SweepShown
from impasto.report.texts import clean

_MOST_ROWS = 40
_LONGEST_LINE = 200
_INK, _SOFT, _GOOD = "#1e2226", "#5c646c", "#1a7048"


def write_sweep_sheet(sweep: SweepShown, path: Path, *, photographs: int, cell: int) -> bool:
    """Write a PNG of the trials that have pictures, sorted by the first objective, best first, at most 40.

    Args:
        sweep: as it stands.
        path: of the PNG.
        photographs: columns at most.
        cell: longer side of a picture, in pixels.

    Returns:
        Whether it was written: not where no trial has pictures.

    Raises:
        ValueError: no photographs, or cells too small to hold a word.
        OSError: it cannot be written.
    """
    if photographs < 1 or cell < 64:
        raise ValueError(f"expected photographs of at least 1 and cells of at least 64, got {photographs} and {cell}")
    found = [(row, *last_pictures(row)) for row in make_rows(sweep)]
    found = [item for item in found if item[1]][:_MOST_ROWS]
    if not found:
        return False
    names = sorted({name for _, after, _ in found for name in after})[:photographs]
    originals = {name: place.path for _, _, before in reversed(found) for name, place in before.items()}
    head = [(clean(sweep.name), _INK, True), (f"{len(found)} trials, best first", _SOFT, False)]
    rows = [[_label(head, cell), *(_picture(originals.get(name), cell) for name in names)]]
    for row, after, _ in found:
        pictures = [_picture(after[name].path if name in after else None, cell) for name in names]
        rows.append([_label(_lines(row), cell), *pictures])
    write_image(path, sheet(rows, cell=cell))
    return True


def _lines(row: Row) -> list[tuple[str, str, bool]]:
    """What stands beside a trial's pictures: text, colour, and whether it is large."""
    trial = row.trial
    first = f"trial {trial.number}" + (" *" if trial.best else "")
    lines = [(first, _GOOD if trial.best else _INK, True)]
    lines += [(trial.state, _SOFT, False)] if trial.state != "finished" else []
    lines += [(f"{figure.name}: {figure.text}", _INK, False) for figure in row.values if trial.values]
    return lines + [(f"{figure.name} = {figure.text}", _SOFT, False) for figure in row.parameters]


def _label(lines: Sequence[tuple[str, str, bool]], cell: int) -> Tensor:
    """Write lines into a square, broken where they are too long, as many as fit."""
    image = Image.new("RGB", (cell, cell), "white")
    draw, top, edge = ImageDraw.Draw(image), cell * 0.03, cell * 0.04
    for text, colour, large in lines:
        size = max(9.0, cell / (13 if large else 18))
        font = ImageFont.load_default(size)
        for line in _broken(" ".join(text.split())[:_LONGEST_LINE], font, cell - 2 * edge):
            if top + size * 1.3 > cell:
                break
            draw.text((edge, top), line, fill=colour, font=font)
            top += size * 1.3
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)
    return pixels.permute(2, 0, 1)


def _broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    lines, line = [], ""
    for letter in text:
        if line and font.getlength(line + letter) > width:
            lines.append(line)
            line = ""
        line += letter
    return [*lines, line] if line else lines


def _picture(path: Path | None, cell: int) -> Tensor:
    """A picture, or grey where it is missing or cannot be read."""
    if path is not None:
        try:
            return read_image(path, at_least=cell)
        except (OSError, ValueError):
            pass
    return torch.full((3, cell, cell), 0.93)
