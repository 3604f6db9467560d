"""The contact sheet of super-resolution: which crops, and what each method makes of them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from impasto.commands.super_resolution_report import shown
from impasto.evaluation.super_resolution import Protocol, Upscaling, enlarge, low_and_truth, read_test_image
from impasto.evaluation.super_resolution_sheet import Row, write_sheet

log = logging.getLogger(__name__)

_CELL = 192  # pixels
_CENTRES, _SIDE = 6, 96  # rows and pixels of crops that nobody chose


class Crop(NamedTuple):
    """A square of a photograph.

    Attributes:
        set: its name.
        image: file name, relative to the set's folder.
        path: of the file.
        left: pixels.
        top: pixels.
        size: pixels.
    """

    set: str
    image: str
    path: Path
    left: int
    top: int
    size: int


def pick_crops(
    crops: Sequence[Mapping[str, Any]], images: Mapping[str, Mapping[str, Path]], *, multiple: int
) -> list[Crop]:
    """Find the photographs of the crops that are wanted; without any, the centres of the first photographs.

    Args:
        crops: set, image (with or without its suffix), left, top and size.
        images: by set and name, the files that are measured.
        multiple: of which left, top and size must be, so that low-resolution pixels are whole.

    Raises:
        ValueError: a crop without one of these, no multiple, or outside of its photograph.
    """
    picked = []
    for crop in crops:
        if not isinstance(crop, Mapping) or set(crop) != {"set", "image", "left", "top", "size"}:
            raise ValueError(f"expected evaluation.crops of set, image, left, top and size, got {crop}")
        paths = images.get(str(crop["set"]))
        if paths is None:
            continue
        name = next((name for name in paths if crop["image"] in (name, Path(name).stem)), None)
        if name is None:
            log.info("%s has no image %s: the contact sheet goes without it", crop["set"], crop["image"])
            continue
        place = Crop(str(crop["set"]), name, paths[name], crop["left"], crop["top"], crop["size"])
        _check(place, multiple)
        picked.append(place)
    return picked or _centres(images, multiple)


def _check(crop: Crop, multiple: int) -> None:
    numbers = (crop.left, crop.top, crop.size)
    height, width = read_test_image(crop.path).photo.shape[-2:]
    whole = all(isinstance(number, int) and number >= 0 and number % multiple == 0 for number in numbers)
    if (
        not whole
        or crop.size < 1
        or crop.left + crop.size > width - width % multiple
        or crop.top + crop.size > height - height % multiple
    ):
        raise ValueError(
            f"expected evaluation.crops inside their image, in multiples of {multiple} pixels; got left {crop.left}, "
            f"top {crop.top}, size {crop.size} in {crop.path} ({width} x {height})"
        )


def _centres(images: Mapping[str, Mapping[str, Path]], multiple: int) -> list[Crop]:
    found = []
    listed = [(name, image, path) for name, paths in images.items() for image, path in paths.items()]
    for name, image, path in listed[:_CENTRES]:
        height, width = read_test_image(path).photo.shape[-2:]
        size = min(_SIDE, *(side // multiple * multiple for side in (height, width)))
        left, top = ((side - size) // (2 * multiple) * multiple for side in (width, height))
        found.append(Crop(name, image, path, left, top, size))
    return found


def draw(
    path: Path,
    crops: Sequence[Crop],
    methods: Mapping[str, Upscaling],
    measured: Mapping[str, Any],
    *,
    factor: int,
    protocol: Protocol,
    device: str,
) -> None:
    """Draw the crops at one factor: low resolution, each method, truth.

    Args:
        path: of the PNG.
        crops: a row each.
        methods: a column each.
        measured: figures by set, factor and image, of whole photographs.
        factor: of the enlargement.
        protocol: by which the pictures are made.
        device: of the methods.
    """
    columns = ["low", *map(shown, methods), "truth"]
    rows = []
    for crop in crops:
        low, truth = low_and_truth(read_test_image(crop.path).photo, factor, protocol)
        pictures: list[Tensor] = [_cut(low, crop, scale=factor)]
        figures, captions = measured[crop.set][f"x{factor}"][crop.image], [f"{low.shape[-1]} x {low.shape[-2]}"]
        for name, method in methods.items():
            matched = protocol.match_histograms and name != "bicubic"
            pictures.append(_cut(enlarge(method, low.to(device), matched=matched), crop, scale=1))
            psnr = figures[name]["psnr"]
            captions.append("no error" if psnr is None else f"{psnr:.2f} dB")
        pictures.append(_cut(truth, crop, scale=1))
        captions.append(f"{truth.shape[-1]} x {truth.shape[-2]}")
        rows.append(Row(f"{crop.set}, {Path(crop.image).stem}", pictures, captions))
    write_sheet(path, columns, rows, cell=_CELL, note=f"x{factor}; below: PSNR of the whole picture")


def _cut(image: Tensor, crop: Crop, *, scale: int) -> Tensor:
    left, top, size = (number // scale for number in (crop.left, crop.top, crop.size))
    return image[0, :, top : top + size, left : left + size].cpu()
