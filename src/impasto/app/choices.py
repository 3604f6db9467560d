"""What the page can do to a photograph: paint it in shipped styles, colour it, enlarge it, or use one's own network."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.engines import eager
from impasto.evaluation.colour import tinted
from impasto.methods import Method, Stylizing, Upscaling, method_of
from impasto.networks import Trained
from impasto.resampling import upscale
from impasto.runs import load_mix, load_shipped, shipped

_LOSSES = {"feature": "sharp", "pixel": "faithful"}  # how names of shipped upscalers end


class Choice(NamedTuple):
    """One thing to do to a photograph."""

    name: str  # in file names, such as "starry_night"; no two choices share one
    label: str  # on the page
    method: Method
    base: Callable[[Tensor], Tensor]  # from the photograph to what strength 0 shows, of the result's size
    factor: int = 1  # by which the result is larger than the photograph

    @property
    def paints(self) -> bool:
        """Whether the result's colours can be chosen."""
        return isinstance(self.method, Stylizing)


def list_choices(networks: Iterable[tuple[str, Trained]], *, device: str) -> list[Choice]:
    """List the shipped networks that do one thing, then one's own, each with what the user calls it: folder or file."""
    systems = ("colorizer", "upscaler")
    choices = [_choice(name, "", load_shipped(name, system=kind), device) for kind in systems for name in shipped(kind)]
    taken = {*shipped("stylizer"), *(choice.name for choice in choices)}
    for text, trained in networks:
        if text not in taken:  # a shipped name is there already
            short = _short_name(Path(text))
            numbered = (f"{short}-{number}" for number in count(2))
            name = next(name for name in chain([short], numbered) if name not in taken)
            taken.add(name)
            choices.append(_choice(name, f" ({name})", trained, device))
    return choices


def painting(mix: Mapping[str, float], *, device: str) -> Choice:
    """Return the painting in a mix of shipped styles, by their weights, whose sum is taken for the whole."""
    return _choice("_".join(name for name, weight in mix.items() if weight), "", load_mix(mix), device)


def _choice(name: str, suffix: str, trained: Trained, device: str) -> Choice:
    method = method_of(trained, partial(eager, precision=torch.float32, device=device))
    if isinstance(method, Upscaling):
        kind = _LOSSES.get(name.rpartition("_")[2], "") if not suffix else ""
        label = f"Enlarge {method.factor} x{kind and ', '}{kind}{suffix}"
        return Choice(name, label, method, partial(_enlarged, factor=method.factor), method.factor)
    if isinstance(method, Stylizing):
        return Choice(name, f"Paint in a style of your own{suffix}", method, lambda photo: photo)
    return Choice(name, f"Colour a grey photograph{suffix}", method, partial(tinted, chroma=torch.zeros(1, 2, 1, 1)))


def _enlarged(photo: Tensor, *, factor: int) -> Tensor:
    """Bicubic, as one has it without a network."""
    return upscale(photo[None], factor)[0].clamp(0, 1)


def _short_name(path: Path) -> str:
    """The run folder's name, or the file's: `network.safetensors` says nothing, its folder does."""
    path = path.expanduser().resolve()
    return path.parent.name if path.name == "network.safetensors" else path.name.removesuffix(".safetensors")
