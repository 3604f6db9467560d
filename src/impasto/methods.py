"""Methods: a trained network as a function of one photograph, with what it says of it."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.color import colour_code
from impasto.colorization import colorize, working_size
from impasto.images import check_memory, is_grey, resize_longer_side
from impasto.networks import Trained, activation_bytes

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


def method_of(trained: Trained, device: str) -> Method:
    """Return what a trained network does to a photograph: paints it, or colours it.

    Args:
        trained: of the system "stylizer" or "colorizer".
        device: where it shall run.

    Raises:
        ValueError: a network of another system.
    """
    kinds: dict[str, Callable[[Trained, str], Method]] = {"stylizer": Stylizing, "colorizer": Colouring}
    system = str(trained.card.get("system"))
    if system not in kinds:
        raise ValueError(f"expected a network of {' or '.join(kinds)}, got one of {system}")
    return kinds[system](trained, device)


class Stylizing:
    """Paints photographs in the style of a network, at their own size.

    Args:
        trained: a stylizer.
        device: where it shall run.
    """

    def __init__(self, trained: Trained, device: str) -> None:
        self.network, self.device = trained.network.to(device), device
        self._needed = cache(partial(activation_bytes, self.network))  # a folder's photographs mostly share a size

    @torch.inference_mode()
    def __call__(self, photo: Tensor) -> Applied:
        """Paint one photograph.

        Raises:
            ValueError: it would not fit into memory.
        """
        height, width = photo.shape[-2:]
        check_memory(self._needed(height, width), f"an image of {width} x {height} pixels")
        output: Tensor = self.network(photo[None].to(self.device))
        return Applied(output[0, :, :height, :width], "")  # the paper's network rounds the size up to a multiple of 4


class Colouring:
    """Colours photographs of any size; of one in colour only the lightness is used.

    Args:
        trained: a colorizer.
        device: where it shall run.
        size: shorter side in pixels at which colours are predicted; None takes that of the training.
        global_photo: (1, 3, H, W), whose global features take the place of the photograph's.
    """

    def __init__(
        self, trained: Trained, device: str, *, size: int | None = None, global_photo: Tensor | None = None
    ) -> None:
        self.network = trained.network.to(device)
        self.classes: list[str] = trained.card["classes"]
        self.code = colour_code(trained.card["color_space"])
        self.device, self.size = device, size or int(trained.card["size"])
        self.global_photo = None if global_photo is None else global_photo.to(device)
        self._needed = cache(partial(activation_bytes, self.network, channels=1))

    @torch.inference_mode()
    def __call__(self, photo: Tensor) -> Applied:
        """Colour one photograph; the remark tells the most probable scenes.

        Raises:
            ValueError: it would not fit into memory.
        """
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
