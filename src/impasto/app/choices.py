"""What the page can do to a photograph: each shipped network, and the user's own."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.engines import eager
from impasto.evaluation.colorizers import tinted
from impasto.methods import Method, Upscaling, method_of
from impasto.networks import Trained
from impasto.resampling import upscale
from impasto.runs import SYSTEMS, load_shipped, shipped

_LOSSES = {"feature": "sharp (feature loss)", "pixel": "faithful (pixel loss)"}  # how names of shipped upscalers end


class Choice(NamedTuple):
    """One thing to do to a photograph.

    Attributes:
        name: in file names, such as "starry_night"; no two choices share one.
        label: on the page.
        method: what it does.
        base: from the photograph to what strength 0 shows, of the result's size.
        factor: by which the result is larger than the photograph.
    """

    name: str
    label: str
    method: Method
    base: Callable[[Tensor], Tensor]
    factor: int = 1


def list_choices(networks: Iterable[tuple[str, Trained]], *, device: str) -> list[Choice]:
    """List the shipped networks, then one's own.

    Args:
        networks: what the user calls each (a run folder or a file), and the network.
        device: where they shall run.

    Raises:
        ValueError: a network of a system that is no method.
    """
    ours = [(name, system) for system in SYSTEMS for name in shipped(system)]
    choices = [_choice(name, "", load_shipped(name, system=system), device) for name, system in ours]
    for text, trained in networks:
        if text in [name for name, _ in ours]:
            continue  # a shipped name, which is there already
        name = _unused(_short_name(Path(text)), [choice.name for choice in choices])
        choices.append(_choice(name, f" ({name})", trained, device))
    return choices


def _choice(name: str, suffix: str, trained: Trained, device: str) -> Choice:
    method = method_of(trained, partial(eager, precision=torch.float32, device=device))
    if trained.card["system"] == "colorizer":
        return Choice(
            name, f"Colour a grey photograph{suffix}", method, partial(tinted, chroma=torch.zeros(1, 2, 1, 1))
        )
    if isinstance(method, Upscaling):
        kind = _LOSSES.get(name.rpartition("_")[2], "") if not suffix else ""
        label = f"Enlarge {method.factor} x{kind and ', '}{kind}{suffix}"
        return Choice(name, label, method, partial(_enlarged, factor=method.factor), method.factor)
    style = trained.card.get("style")
    title = style.get("title") if isinstance(style, dict) else None
    return Choice(name, f"{title or 'A style of your own'}{suffix}", method, _itself)


def _itself(photo: Tensor) -> Tensor:
    return photo


def _enlarged(photo: Tensor, *, factor: int) -> Tensor:
    """Bicubic, as one has it without a network."""
    return upscale(photo[None], factor)[0].clamp(0, 1)


def _short_name(path: Path) -> str:
    """The run folder's name, or the file's: `network.safetensors` says nothing, its folder does."""
    path = path.expanduser().resolve()
    return path.parent.name if path.name == "network.safetensors" else path.name.removesuffix(".safetensors")


def _unused(name: str, taken: Sequence[str]) -> str:
    count = 2
    unused = name
    while unused in taken:
        unused, count = f"{name}-{count}", count + 1
    return unused
