"""What a method is, and how one refuses what would not fit into memory."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.engines import Run, eager
from impasto.memory import Activations, check_memory, free_memory, largest_side
from impasto.networks import Trained


class Seen(NamedTuple):
    """What a method saw in a photograph, for whoever shows the result to put into words."""

    scenes: tuple[tuple[str, float], ...] = ()  # the most probable first, with their probabilities
    lost_colours: bool = False  # whether the photograph had colours that were not used


class Applied(NamedTuple):
    """What became of a photograph."""

    image: Tensor  # RGB in [0, 1], (3, H, W)
    seen: Seen = Seen()


Method = Callable[[Tensor], list[Applied]]  # from photographs of one size, RGB in [0, 1], (N, 3, H, W)
Engine = Callable[[Trained], Run]  # with its precision and device, as of `engines`
PLAIN: Engine = partial(eager, precision=torch.float32, device="cpu")


def device_of(engine: Engine) -> str:
    """Where an engine computes; ours have it as a keyword (`PLAIN`)."""
    return str(engine.keywords["device"]) if isinstance(engine, partial) else "cpu"


def refuse_large(
    photos: Tensor,
    activations: Activations,
    seen: Callable[[int, int], tuple[int, int]] = lambda height, width: (height, width),
    around: Callable[[int, int], int] = lambda height, width: 0,
    *,
    factor: int = 1,
    device: str = "cpu",
) -> None:
    """Refuse photographs, (N, 3, H, W), that would not fit into the free memory, and name the longer side that would.

    `activations` are what the network takes, on its device. From a photograph's height and width, `seen` gives those
    that it sees at once, and `around` the bytes of the machine that are taken besides.
    """
    count, _, height, width = photos.shape
    if device == "cpu" and count * (activations.most(*seen(height, width)) + around(height, width)) < free_memory():
        return
    what = f"{'an image' if count == 1 else f'{count} images'} of {width} x {height} pixels"
    if factor > 1:
        what += f", {factor * width} x {factor * height} when enlarged,"
    longer = max(height, width)

    def inside(height: int, width: int) -> int:
        return activations(*seen(height, width))

    def scaled(needed: Callable[[int, int], int], side: int) -> int:
        return needed(*(max(1, round(length * side / longer)) for length in (height, width)))

    wholes = {"cpu": lambda h, w: inside(h, w) + around(h, w)} if device == "cpu" else {device: inside, "cpu": around}
    for place, needed in wholes.items():
        fits = partial(largest_side, partial(scaled, needed), longer)
        check_memory(count * needed(height, width), what, fits=fits, device=place)
