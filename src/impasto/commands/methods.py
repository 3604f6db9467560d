"""What `impasto apply` does to one photograph, for each kind of network. conf/method/ chooses one."""

import logging
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from impasto.color import colour_code
from impasto.colorization import colorize, working_size
from impasto.images import check_memory, is_grey, read_image, resize_longer_side
from impasto.networks import Trained, activation_bytes
from impasto.runs import load_run, load_shipped

log = logging.getLogger(__name__)

_BYTES_TO_JOIN = 300  # a pixel: colours enlarged, joined in float32, those outside RGB reduced; measured 120 to 210
_TOLD = 3  # scenes named for a photograph


class Applied(NamedTuple):
    """What became of a photograph.

    Attributes:
        image: RGB in [0, 1], (3, H, W).
        remark: what the network said of it; may be empty.
    """

    image: Tensor
    remark: str


Method = Callable[[Tensor], Applied]  # from RGB in [0, 1], (3, H, W)


def stylizer(cfg: DictConfig) -> Method:
    """Build the painting of photographs by a style network.

    Raises:
        ValueError: neither a style nor a run is given, or an option of the other methods.
    """
    _refuse(cfg, "global_image", "colorizer")
    if cfg.run is None and cfg.style is None:
        raise ValueError("which network? give style=<name of a shipped style> or run=<run folder>")
    trained = _own(cfg, "stylizer") if cfg.run is not None else load_shipped(cfg.style.name)
    network = trained.network.to(cfg.device)
    needed = cache(partial(activation_bytes, network))  # a folder's photographs mostly share a size

    @torch.inference_mode()
    def method(photo: Tensor) -> Applied:
        height, width = photo.shape[-2:]
        check_memory(needed(height, width), f"an image of {width} x {height} pixels")
        output: Tensor = network(photo[None].to(cfg.device))
        return Applied(output[0, :, :height, :width], "")  # the paper's network rounds the size up to a multiple of 4

    return method


def colorizer(cfg: DictConfig, *, network: str, working_size: int | None) -> Method:
    """Build the colouring of photographs.

    Args:
        cfg: of `impasto apply`.
        network: a shipped colorizer, used where no run is given.
        working_size: shorter side in pixels at which colours are predicted; None takes that of the training.

    Raises:
        ValueError: a working size below 8, an option of the other methods, or a global image for a network that has no
            global features.
    """
    _refuse(cfg, "style", "stylizer")
    if working_size is not None and (not isinstance(working_size, int) or working_size < 8):
        raise ValueError(f"expected method.working_size of at least 8, got {working_size}")
    trained = _own(cfg, "colorizer") if cfg.run is not None else load_shipped(network, system="colorizer")
    other = None
    if cfg.global_image is not None:
        if not trained.card["network"]["global_features"]:
            raise ValueError("global_image= needs a network with global features; this one was trained without")
        other = read_image(Path(str(cfg.global_image)).expanduser())[None].to(cfg.device)
    return _Colouring(trained, cfg.device, size=working_size or trained.card["size"], global_photo=other)


class _Colouring:
    def __init__(self, trained: Trained, device: str, *, size: int, global_photo: Tensor | None) -> None:
        self.network = trained.network.to(device)
        self.classes: list[str] = trained.card["classes"]
        self.code = colour_code(trained.card["color_space"])
        self.device, self.size, self.global_photo = device, size, global_photo
        self._needed = cache(partial(activation_bytes, self.network, channels=1))

    @torch.inference_mode()
    def __call__(self, photo: Tensor) -> Applied:
        height, width = photo.shape[-2:]
        needed = self._needed(*working_size(height, width, self.size)) + _BYTES_TO_JOIN * height * width
        check_memory(needed, f"an image of {width} x {height} pixels")
        found = colorize(
            self.network, photo[None].to(self.device), code=self.code, size=self.size, global_photo=self.global_photo
        )
        remarks = [] if is_grey(photo) else ["is in colour: only its lightness was used"]
        if found.prediction.logits is not None:
            scene = describe_scene(found.prediction.logits[0], self.classes)
            remarks.append(scene if self.global_photo is None else f"with the global features of {scene}")
        return Applied(found.image[0], "; ".join(remarks))


def describe_scene(logits: Tensor, classes: list[str]) -> str:
    """Say the most probable scenes: `"kitchen 62 %, bedroom 11 %, laundromat 4 %"`."""
    best = logits.float().softmax(dim=0).topk(min(_TOLD, len(classes)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return ", ".join(f"{classes[index]} {100 * share:.0f} %" for index, share in pairs)


def bounded(method: Method, size: int | None) -> Method:
    """Resize photographs whose longer side exceeds `size` before the method sees them."""
    if size is None:
        return method
    return lambda photo: method(resize_longer_side(photo, size) if size < max(photo.shape[-2:]) else photo)


def _own(cfg: DictConfig, system: str) -> Trained:
    return load_run(Path(str(cfg.run)).expanduser(), system=system)  # run=0, of a multirun, is a number to Hydra


def _refuse(cfg: DictConfig, key: str, owner: str) -> None:
    value: Any = cfg[key]
    if value is not None:
        raise ValueError(f"{key}= is an option of method={owner}")
