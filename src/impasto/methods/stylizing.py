"""A style network as a method."""

import torch
from torch import Tensor

from impasto.color import Colours, PaintingColours
from impasto.images import resized
from impasto.memory import Activations
from impasto.methods.method import PLAIN, Applied, Engine, device_of, refuse_large
from impasto.networks import Trained


class Stylizing:
    """Paints photographs in the style of a network, at their own size.

    Args:
        trained: a stylizer of one style.
        engine: what computes it.
        strength: how much of the result is mixed into the photograph, 0 (the photograph) to 1 (the result).
        colours: whose the picture has.
        look_size: longer side in pixels at which a larger photograph's strokes and colours are chosen, so that it looks
            as its preview does; the network gives them the detail of the full size. None paints as the size comes.
    """

    def __init__(
        self,
        trained: Trained,
        engine: Engine = PLAIN,
        *,
        strength: float = 1.0,
        colours: Colours | None = None,
        look_size: int | None = None,
    ) -> None:
        if getattr(trained.network, "styles", None) is not None:
            names = ", ".join(str(style["name"]) for style in trained.card.get("styles", []))
            raise ValueError(f"this network paints {names}; give style=<one of them>")
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
            raise ValueError(f"expected strength from 0 (the photograph) to 1 (painted), got {strength}")
        self.run, self.strength = engine(trained), float(strength)
        self.colours, self.look_size = colours or PaintingColours(), look_size
        self._activations = Activations(trained.network)
        self._device = device_of(engine)

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> list[Applied]:
        """Paint photographs; refuse what would not fit into memory."""
        refuse_large(photos, self._activations, device=self._device)
        output = photos.lerp(self.colours.paint(self._paint, photos), self.strength)
        return [Applied(image) for image in output]

    def _paint(self, photos: Tensor) -> Tensor:
        height, width = photos.shape[-2:]
        painted: Tensor = self.run(photos)[..., :height, :width]  # the paper's network rounds up to multiples of 4
        share = 1.0 if self.look_size is None else self.look_size / max(height, width)
        if share >= 1:
            return painted
        small = max(1, round(share * height)), max(1, round(share * width))
        look = self._paint(resized(photos, small)) - resized(painted, small)
        return (painted + resized(look, (height, width))).clamp(0, 1)  # as in a Laplacian pyramid
