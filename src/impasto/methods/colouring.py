"""A colorizer as a method."""

from functools import partial

import torch
from torch import Tensor

from impasto.color import colour_code
from impasto.colorization import colorize, working_size
from impasto.images import is_grey
from impasto.memory import Activations
from impasto.methods.method import PLAIN, Applied, Engine, Seen, device_of, refuse_large
from impasto.networks import Trained

_BYTES_TO_JOIN = 300  # a pixel: colours enlarged, joined in float32, those outside RGB reduced; measured 120 to 210
_NAMED = 3  # scenes for a photograph


class Colouring:
    """Colours photographs of any size; of one in colour only the lightness is used.

    Args:
        trained: a colorizer.
        engine: what computes it.
        size: shorter side in pixels at which colours are predicted; None takes that of the training.
        global_photo: (1, 3, H, W), whose global features take the place of the photograph's.
        vividness: by which the predicted chroma is multiplied; 0 is grey.
    """

    def __init__(
        self,
        trained: Trained,
        engine: Engine = PLAIN,
        *,
        size: int | None = None,
        global_photo: Tensor | None = None,
        vividness: float = 1.0,
    ) -> None:
        self.run = engine(trained)
        self.classes: list[str] = trained.card["classes"]
        self.code = colour_code(trained.card["color_space"])
        self.size = size or int(trained.card["size"])
        self.global_photo, self.vividness = global_photo, vividness
        self._activations = Activations(trained.network, channels=1)
        self._device = device_of(engine)

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> list[Applied]:
        """Colour photographs, with the most probable scenes: a global photograph's own; refuse what would not fit."""
        seen = partial(working_size, size=self.size)
        refuse_large(photos, self._activations, seen, lambda h, w: _BYTES_TO_JOIN * h * w, device=self._device)
        other = None if self.global_photo is None else self.global_photo.expand(len(photos), -1, -1, -1)
        found = colorize(self.run, photos, code=self.code, size=self.size, global_photo=other, vividness=self.vividness)
        logits = found.prediction.logits
        scenes = [()] * len(photos) if logits is None else [_scenes(own, self.classes) for own in logits]
        return [
            Applied(image, Seen(own, lost_colours=not is_grey(photo)))
            for image, own, photo in zip(found.image, scenes, photos, strict=True)
        ]


def _scenes(logits: Tensor, classes: list[str]) -> tuple[tuple[str, float], ...]:
    shares, indices = logits.float().softmax(dim=0).topk(min(_NAMED, len(classes)))
    return tuple((classes[index], share) for index, share in zip(indices.tolist(), shares.tolist(), strict=True))


def describe_scenes(scenes: tuple[tuple[str, float], ...]) -> str:
    """Say scenes and their probabilities: `"kitchen 62 %, bedroom 11 %, laundromat 4 %"`."""
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in scenes)


def describe_scene(logits: Tensor, classes: list[str]) -> str:
    """Say the most probable scenes of a prediction, (classes)."""
    return describe_scenes(_scenes(logits, classes))
