"""The crops of a contact sheet of super-resolution."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from impasto.evaluation.comparison import Count, Keys, Natural
from impasto.evaluation.super_resolution_protocol import read_test_image

log = logging.getLogger(__name__)

_CENTRES, _SIDE = 6, 96  # rows and pixels of crops that nobody chose


class Crop(Keys):
    """A square of a photograph, in pixels; the image's suffix may be left out."""

    set: str
    image: str
    left: Natural
    top: Natural
    size: Count

    def cut(self, image: Tensor, *, scale: int) -> Tensor:
        """Cut it out of a picture, (1, 3, H, W) -> (3, S, S), that is so many times smaller than the photograph."""
        left, top, size = (number // scale for number in (self.left, self.top, self.size))
        return image[0, :, top : top + size, left : left + size].cpu()


def find_places(crops: Sequence[Crop], images: Mapping[str, Mapping[str, Path]], *, multiple: int) -> list[Crop]:
    """Find the photographs of the crops that are wanted; without any, the centres of the first photographs.

    Args:
        crops: of these or other sets.
        images: by set and name, the files that are measured.
        multiple: of which left, top and size must be, so that low-resolution pixels are whole.
    """
    places = []
    for crop in crops:
        paths = images.get(crop.set, {})
        name = next((name for name in paths if crop.image in (name, Path(name).stem)), None)
        if name is not None:
            _check(crop, paths[name], multiple)
            places.append(crop.model_copy(update={"image": name}))
        elif paths:
            log.info("%s has no image %s: the contact sheet goes without it", crop.set, crop.image)
    listed = [(name, image, path) for name, paths in images.items() for image, path in paths.items()]
    return places or [_centre(*each, multiple) for each in listed[:_CENTRES]]


def _check(place: Crop, path: Path, multiple: int) -> None:
    height, width = read_test_image(path).photo.shape[-2:]
    spare = [width - width % multiple - place.left - place.size, height - height % multiple - place.top - place.size]
    if min(spare) < 0 or any(number % multiple for number in (place.left, place.top, place.size)):
        raise ValueError(
            f"expected evaluation.crops inside their image, in multiples of {multiple} pixels; got left {place.left}, "
            f"top {place.top}, size {place.size} in {path} ({width} x {height})"
        )


def _centre(name: str, image: str, path: Path, multiple: int) -> Crop:
    height, width = read_test_image(path).photo.shape[-2:]
    size = min(_SIDE, height // multiple * multiple, width // multiple * multiple)
    left, top = ((side - size) // (2 * multiple) * multiple for side in (width, height))
    return Crop(set=name, image=image, left=left, top=top, size=size)
