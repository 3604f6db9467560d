"""Where the pictures of a study come from: the photograph itself, a network, or a folder of results."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from impasto.engines import eager
from impasto.evaluation.colorizers import tinted
from impasto.images import read_image
from impasto.listing import Found, find_images
from impasto.methods import method_of
from impasto.run_folders import RunFolder
from impasto.runs import load_named

Source = Callable[[Found, Tensor], Tensor]  # from a photograph's file and its pixels (3, H, W) to a picture
_SAME_SHAPE = 0.02  # relative difference of the ratio of the sides that rounding may leave


def source_of(text: str, name: str, device: str) -> Source:
    """Find what a user means by a method.

    Args:
        text: `photograph`, `grey`, a shipped network, a run folder, a network file, or a folder of results.
        name: of the method, for messages.
        device: where a network runs.

    Raises:
        FileNotFoundError: none of these.
        ValueError: a file that holds no network of ours.
    """
    plain: dict[str, Source] = {
        "photograph": lambda _, photo: photo,
        "grey": lambda _, photo: tinted(photo, torch.zeros(1, 2, 1, 1)),
    }
    if text in plain:
        return plain[text]
    folder = Path(text).expanduser()
    if is_results(folder):
        return _results(folder, name)
    try:
        method = method_of(load_named(text), partial(eager, precision=torch.float32, device=device))
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"methods.{name}: {error}") from error
    return lambda _, photo: method(photo[None])[0].image


def is_results(folder: Path) -> bool:
    """Whether a folder holds results, and not a run with its network."""
    return folder.is_dir() and not RunFolder(folder).network_file.is_file()


def _results(folder: Path, name: str) -> Source:
    """Results that were made elsewhere, named as their photographs; the suffix may be another."""
    files: dict[Path, list[Path]] = {}
    for found in find_images(folder):
        files.setdefault(found.name.with_suffix(""), []).append(found.path)
    owners: dict[Path, Path] = {}

    def source(item: Found, photo: Tensor) -> Tensor:
        paths = files.get(item.name.with_suffix("")) or files.get(Path(item.name.stem)) or []
        paths = [path for path in paths if path.name == item.name.name] or paths
        if not paths:
            raise FileNotFoundError(f"methods.{name}: no result for {item.name} in {folder}; expected one of that name")
        if len(paths) > 1:
            raise ValueError(f"methods.{name}: expected one result for {item.name}, got {paths[0]} and {paths[1]}")
        owner = owners.setdefault(paths[0], item.name)
        if owner != item.name:
            raise ValueError(f"methods.{name}: {paths[0]} would be the result of both {owner} and {item.name}")
        return read_image(paths[0])

    return source


def common_size(pictures: Mapping[str, Tensor], size: Sequence[int], photograph: Path) -> dict[str, Tensor]:
    """Reduce the pictures of a photograph to the size of the smallest, so that sizes and blur do not tell methods.

    Args:
        pictures: by method, RGB in [0, 1], (3, H, W).
        size: height and width of the photograph, whose ratio all must have.
        photograph: for messages.

    Raises:
        ValueError: sides in another ratio than the photograph's.
    """
    for name, image in pictures.items():
        (high, wide), (height, width) = size, image.shape[-2:]
        if abs(width * high / (height * wide) - 1) > _SAME_SHAPE + 1 / min(height, width):
            raise ValueError(
                f"methods.{name}: expected a picture of {photograph} with sides as {wide} x {high}, got "
                f"{width} x {height}"
            )
    height, width = min((image.shape[-2:] for image in pictures.values()), key=lambda size: size[0] * size[1])
    return {name: _reduced(image, height, width) for name, image in pictures.items()}


def _reduced(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[-2:] == (height, width):
        return image
    size = (height, width)
    return functional.interpolate(image[None], size=size, mode="bicubic", antialias=True, align_corners=False)[0].clamp(
        0, 1
    )
