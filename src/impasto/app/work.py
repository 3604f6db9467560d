"""What the page can do to a photograph, and one photograph to which it is done: read within limits, mixed at will."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from impasto.color import Colours
from impasto.engines import eager
from impasto.evaluation.colour import tinted
from impasto.images import read_image, to_uint8
from impasto.methods import Applied, Seen, Stylizing, method_of
from impasto.networks import Trained
from impasto.resampling import upscale
from impasto.srgb import pixels_of
from impasto.trained import load_mix, load_shipped, shipped

_LOSSES = {"feature": ", sharp", "pixel": ", faithful"}  # how names of shipped upscalers end

# The browser names the file, so its name says nothing: Pillow tries these decoders and no others. EPS, for one, would
# start Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")


class Choice(NamedTuple):
    """One thing to do to a photograph."""

    name: str  # in file names, such as "starry_night"; no two choices share one
    label: str  # on the page
    trained: Trained
    device: str

    @property
    def paints(self) -> bool:
        """Whether the result's colours can be chosen."""
        return bool(self.trained.card["system"] == "stylizer")

    @property
    def factor(self) -> int:
        """By which the result is larger than the photograph."""
        return int(getattr(self.trained.network, "factor", 1))

    def apply(self, photo: Tensor, colours: Colours) -> tuple[Tensor, Applied]:
        """Return what strength 0 shows of a photograph (3, H, W), and what the network makes of it, of one size."""
        engine = partial(eager, precision=torch.float32, device=self.device)
        if self.paints:
            return photo, Stylizing(self.trained, engine, colours=colours)(photo[None])[0]
        enlarged = self.factor > 1  # bicubic, as one has it without a network
        base = upscale(photo[None], self.factor)[0].clamp(0, 1) if enlarged else tinted(photo, torch.zeros(1, 2, 1, 1))
        return base, method_of(self.trained, engine)(photo[None])[0]


def list_choices(networks: Iterable[tuple[str, Trained]], *, device: str) -> list[Choice]:
    """List the shipped networks that do one thing, then one's own, each with what the user calls it: folder or file."""
    choices = [
        Choice(name, _label(trained) + _LOSSES.get(name.rpartition("_")[2], ""), trained, device)
        for system in ("colorizer", "upscaler")
        for name in shipped(system)
        for trained in [load_shipped(name, system=system)]
    ]
    taken = {*shipped("stylizer"), *(choice.name for choice in choices)}
    for text, trained in networks:
        if text not in taken:  # a shipped name is there already
            path = Path(text).expanduser().resolve()  # network.safetensors says nothing, its folder does
            short = path.parent.name if path.name == "network.safetensors" else path.name.removesuffix(".safetensors")
            name = short if short not in taken else next(n for i in count(2) if (n := f"{short}-{i}") not in taken)
            taken.add(name)
            choices.append(Choice(name, f"{_label(trained)} ({name})", trained, device))
    return choices


def _label(trained: Trained) -> str:
    labels = {"stylizer": "Paint in a style of your own", "colorizer": "Colour a grey photograph"}
    return labels.get(trained.card["system"], f"Enlarge {getattr(trained.network, 'factor', None)} x")


def painting(mix: Mapping[str, float], *, device: str) -> Choice:
    """Return the painting in a mix of shipped styles, by their weights, whose sum is taken for the whole."""
    return Choice("_".join(name for name, weight in mix.items() if weight), "", load_mix(mix), device)


class Work(NamedTuple):
    """What a network made of a photograph; images are uint8, (H, W, 3), of one size."""

    name: str  # of the result's file
    base: np.ndarray  # at strength 0
    result: np.ndarray  # at strength 1
    seen: Seen = Seen()  # what the network saw in the photograph

    def mixed(self, strength: float) -> np.ndarray:
        """Mix base (strength 0) and result (strength 1): base + strength * (result - base), uint8, (H, W, 3)."""
        mixed = self.base.astype(np.float32)
        mixed += np.float32(strength) * (self.result - mixed)
        return np.rint(mixed, out=mixed).astype(np.uint8)


def read_photograph(path: Path, *, most_megapixels: float, factor: int = 1) -> Tensor:
    """Read an uploaded file, RGB in [0, 1], (3, H, W); what is no image, broken or too large is refused.

    Its size is asked of its header, before pixels are decoded; enlarged by the factor it may have twice as many.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            pixels = pixels_of(image) * factor**2
    except UnidentifiedImageError as error:
        expected = "expected JPEG, PNG, WebP, TIFF, BMP or GIF"
        raise ValueError(f"{path.name} is no image that can be read; {expected}") from error
    except FileNotFoundError as error:
        raise ValueError("the photograph was deleted here after an hour; choose it again") from error
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises on damaged headers
        raise ValueError(f"{path.name} is damaged: {error}") from error
    most = most_megapixels * min(2, factor)
    if pixels > most * 1e6:
        enlarged = f" when it is enlarged {factor} x" if factor > 1 else ""
        raise ValueError(f"{path.name} has {pixels / 1e6:.4g} megapixels{enlarged}; this page takes {most:g} at most")
    return read_image(path)


def do(path: Path, choice: Choice, colours: Colours, *, most_megapixels: float) -> Work:
    """Do a choice to an uploaded photograph, at its own size; refuses what `read_photograph` does."""
    try:
        photo = read_photograph(path, most_megapixels=most_megapixels, factor=choice.factor)
        base, (image, seen) = choice.apply(photo, colours)
    except ValueError as error:
        reason = str(error).replace(str(path), path.name)
        raise ValueError(re.split(r", or size=| \(size=", reason)[0]) from error  # an option of the command line
    return Work(f"{path.stem}_{choice.name}.png", to_uint8(base), to_uint8(image), seen)


def write_png(path: Path, pixels: np.ndarray, *, longest: int | None = None) -> Path:
    """Write pixels (H, W, 3), of at most so many a side; quickly rather than small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if longest is not None:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    image.save(path, compress_level=3)
    return path
