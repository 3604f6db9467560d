"""Memory: what is free is asked before a large image takes it."""

from bisect import bisect_right
from collections.abc import Callable

import psutil


def gibibytes(count: float) -> str:
    """Say a number of bytes as a person would: `"1.5 GiB"`."""
    return f"{count / 2**30:.1f} GiB"


def check_memory(needed: float, what: str, *, fits: Callable[[float], int] | None = None, device: str = "cpu") -> None:
    """Refuse work that would not fit into the free memory, before it is begun.

    Args:
        needed: bytes.
        what: names the work in the message.
        fits: from free bytes to the longer side in pixels that they are enough for; None where that is not known.
        device: whose memory it would take; that of mps is the machine's.

    Raises:
        ValueError: it would not fit; says both numbers, and the side that would.
    """
    free = _free_on_gpu(device) if device.startswith("cuda") else psutil.virtual_memory().available
    if needed <= free:
        return
    side = None if fits is None else fits(free)
    advice = "give a smaller image, or size=<longer side in pixels> where the command has it"
    if side:
        advice = f"one whose longer side has {side} pixels would fit (size={side})"
    raise ValueError(f"{what} would take about {gibibytes(needed)} of memory and {gibibytes(free)} is free; {advice}")


def _free_on_gpu(device: str) -> int:
    """Bytes that are free there, and those that PyTorch keeps without using them."""
    import torch

    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def largest_side(needed: Callable[[int], float], side: int, free: float) -> int:
    """Find the largest image that fits into memory.

    Args:
        needed: from the longer side in pixels to bytes, growing.
        side: pixels that do not fit.
        free: bytes.

    Returns:
        The longer side, in steps of a 64th of `side`; 0 where none fits.
    """
    steps = bisect_right(range(1, 64), free, key=lambda step: needed(max(1, side * step // 64)))
    return side * steps // 64
