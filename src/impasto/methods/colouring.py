"""A colorizer as a method."""

from functools import cache, partial

import torch
from torch import Tensor

from impasto.color import colour_code
from impasto.colorization import colorize, working_size
from impasto.images import is_grey
from impasto.methods.method import PLAIN, Applied, Engine, device_of, refuse_large
from impasto.networks import Trained, activation_bytes

_BYTES_TO_JOIN = 300  # a pixel: colours enlarged, joined in float32, those outside RGB reduced; measured 120 to 210
_TOLD = 3  # scenes named for a photograph


class Colouring:
    """Colours photographs of any size; of one in colour only the lightness is used.

    Args:
        trained: a colorizer.
        engine: what computes it.
        size: shorter side in pixels at which colours are predicted; None takes that of the training.
        global_photo: (1, 3, H, W), whose global features take the place of the photograph's.
    """

    def __init__(
        self, trained: Trained, engine: Engine = PLAIN, *, size: int | None = None, global_photo: Tensor | None = None
    ) -> None:
        self.run = engine(trained)
        self.classes: list[str] = trained.card["classes"]
        self.code = colour_code(trained.card["color_space"])
        self.size = size or int(trained.card["size"])
        self.global_photo = global_photo
        self._network = cache(partial(activation_bytes, trained.network, channels=1))
        self._device = device_of(engine)

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> list[Applied]:
        """Colour photographs; the remarks tell the most probable scenes.

        Raises:
            ValueError: they would not fit into memory.
        """
        refuse_large(photos, self._inside, _joining, device=self._device)
        other = None if self.global_photo is None else self.global_photo.expand(len(photos), -1, -1, -1)
        found = colorize(self.run, photos, code=self.code, size=self.size, global_photo=other)
        logits = found.prediction.logits
        remarks = [self._remark(photo, None if logits is None else logits[i]) for i, photo in enumerate(photos)]
        return [Applied(image, remark) for image, remark in zip(found.image, remarks, strict=True)]

    def _inside(self, height: int, width: int) -> int:
        return self._network(*working_size(height, width, self.size))

    def _remark(self, photo: Tensor, logits: Tensor | None) -> str:
        remarks = [] if is_grey(photo) else ["is in colour: only its lightness was used"]
        if logits is not None:
            scene = describe_scene(logits, self.classes)
            remarks.append(scene if self.global_photo is None else f"with the global features of {scene}")
        return "; ".join(remarks)


def _joining(height: int, width: int) -> int:
    return _BYTES_TO_JOIN * height * width


def describe_scene(logits: Tensor, classes: list[str]) -> str:
    """Say the most probable scenes: `"kitchen 62 %, bedroom 11 %, laundromat 4 %"`."""
    best = logits.float().softmax(dim=0).topk(min(_TOLD, len(classes)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return ", ".join(f"{classes[index]} {100 * share:.0f} %" for index, share in pairs)
