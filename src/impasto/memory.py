"""Memory: what work would take is compared with what is free before it is begun."""

import contextlib
import copy
import shutil
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from threading import Condition
from typing import Any

import psutil
import torch
from torch import Tensor, nn

_GROUPS, _GROUPS_OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_COPIES = 3  # of a layer's inputs and outputs
_OF_CONVOLUTION = 4  # dimensions of its weight
_BORDER = 96  # pixels by which a network may enlarge what it sees: 2 x 40 in Johnson 2016
_promised: list[float] = []  # bytes, to those who may not have taken them yet
_changed = Condition()


class TooLargeError(ValueError):
    """Work that does not fit into the memory that is free now."""


def gibibytes(count: float) -> str:
    """Say a number of bytes as a person would: `"1.5 GiB"`."""
    return f"{count / 2**30:.1f} GiB"


def free_memory(device: str = "cpu") -> float:
    """Return the bytes that this process may still take: of the machine, its control groups and RLIMIT_AS; or a GPU's.

    On a GPU, what PyTorch keeps without using it is free.
    """
    if device.startswith("cuda"):
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + kept)
    free = [float(psutil.virtual_memory().available), *_left_to_groups()]
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            free.append(limit - psutil.Process().memory_info().vms)
    return max(0.0, min(free))


def _left_to_groups() -> Iterator[float]:
    """What Linux leaves to the control groups of this process; files that it can read again are not counted."""
    with contextlib.suppress(OSError):
        for line in _GROUPS_OF_PROCESS.read_text(encoding="utf-8").splitlines():
            folder = _GROUPS / line.removeprefix("0::").strip("/")  # other lines, of version 1, name no folder there
            for group in (folder, *folder.parents[: len(folder.relative_to(_GROUPS).parts)]):
                with contextlib.suppress(OSError, ValueError):  # "max"
                    left = int((group / "memory.max").read_text(encoding="ascii"))
                    left -= int((group / "memory.current").read_text(encoding="ascii"))
                    rows = (group / "memory.stat").read_text(encoding="ascii").splitlines()
                    yield left + int(dict(row.split() for row in rows)["inactive_file"])


def check_memory(needed: float, what: str, *, fits: Callable[[float], int] | None = None, device: str = "cpu") -> None:
    """Refuse work, named by `what`, whose bytes would not fit into the free memory (TooLargeError).

    `fits` gives the longer side in pixels that so many free bytes are enough for, which the message then names; None
    where that is not known. Memory of mps is the machine's.
    """
    free = free_memory(device)
    if needed <= free:
        return
    advice = "give a smaller image, or size=<longer side in pixels> where the command has it"
    if fits is not None and (side := fits(free)):
        advice = f"one whose longer side has {side} pixels would fit (size={side})"
    found = f"{gibibytes(needed)} of memory and {gibibytes(free)} is free"
    raise TooLargeError(f"{what} would take about {found}; {advice}")


def check_disk(needed: float, what: str, folder: Path) -> None:
    """Refuse work whose files, of so many bytes, would not fit onto the disk of a folder (TooLargeError)."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        found = f"{gibibytes(needed)} on the disk of {folder} and {gibibytes(free)} is free"
        raise TooLargeError(f"{what} would take about {found}; free some, or give output=<a folder on another disk>")


@contextmanager
def reserve_memory(needed: float, what: str) -> Iterator[None]:
    """Take bytes for the body, which threads do after each other where memory is not enough for all.

    What would not fit, though no other has reserved any, is a TooLargeError.
    """
    with _changed:
        _changed.wait_for(lambda: not _promised or needed <= free_memory() - sum(_promised))
        check_memory(needed, what)
        _promised.append(needed)
    try:
        yield
    finally:
        with _changed:
            _promised.remove(needed)
            _changed.notify_all()


def largest_side(needed: Callable[[int], float], side: int, free: float) -> int:
    """Find the longer side, in steps of a 64th of one that does not fit, whose bytes are free; 0 where none is."""
    steps = bisect_right(range(1, 64), free, key=lambda step: needed(max(1, side * step // 64)))
    return side * steps // 64


class Activations:
    """The bytes of a network's forward pass, from the height and width that it sees: kept, once they were estimated.

    The network is in float32, without gradients; `factor` is by which it enlarges.
    """

    def __init__(self, network: nn.Module, *, channels: int = 3, factor: int = 1) -> None:
        self._estimate = cache(partial(activation_bytes, network, channels=channels))
        widest = max((max(p.shape[:2]) for p in network.parameters() if p.ndim == _OF_CONVOLUTION), default=channels)
        self._most = _COPIES * 2 * 4 * widest * factor**2

    def __call__(self, height: int, width: int) -> int:
        """Estimate them, as `activation_bytes`, which takes seconds for the first photograph."""
        return self._estimate(height, width)

    def fit(self, height: int, width: int, free: float) -> bool:
        """Whether so many bytes are enough; they are estimated only where it is a near thing."""
        return self.most(height, width) <= free or self(height, width) <= free

    def most(self, height: int, width: int) -> int:
        """Return more than that, at once: every layer were as large as the picture and as wide as the widest one."""
        return self._most * (height + _BORDER) * (width + _BORDER)


def activation_bytes(network: nn.Module, height: int, width: int, *, channels: int = 3) -> int:
    """Estimate the bytes of one forward pass without gradients, float32, from (1, channels, H, W).

    The network runs on the meta device, which keeps shapes and no numbers; the largest sum of one layer's inputs and
    outputs, `_COPIES` times over (a convolution's reordered copies, a residual), is the estimate.
    """
    largest = 0

    def note(_: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401 (a hook's signature)
        nonlocal largest
        tensors = [x for x in (*inputs, output) if isinstance(x, Tensor)]
        largest = max(largest, sum(x.numel() * x.element_size() for x in tensors))

    double = copy.deepcopy(network).to("meta").eval()
    for module in double.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    with torch.no_grad():
        double(torch.empty(1, channels, height, width, device="meta"))
    return _COPIES * largest
