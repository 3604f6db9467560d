"""Projected Adam for one image, asked and told like `LBFGS`."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

_LEVEL = 1 / 255


class Adam:
    """Adam whose images stay in [0, 1]; less memory than L-BFGS and more iterations.

    Args:
        lr: grey levels (of 255) a step, above 0.
        betas: decay of the two moments.

    Source: Kingma and Ba 2015; jcjohnson/neural-style offers it with lr 10 on images in 0..255.
    """

    def __init__(self, *, lr: float, betas: Sequence[float]) -> None:
        if lr <= 0:
            raise ValueError(f"expected optimizer.lr above 0, got {lr}")
        self.lr, self.betas = lr, (betas[0], betas[1])
        self._image: Tensor | None = None
        self._adam: torch.optim.Adam | None = None
        self._waiting: dict[str, Any] = {}  # moments that came before the first image

    @torch.no_grad()
    def step(self, image: Tensor, value: float, gradient: Tensor) -> Tensor:
        """Return the image to evaluate next; as `LBFGS.step`."""
        if self._adam is None or self._image is None:
            self._image = image.detach().clone()
            self._adam = torch.optim.Adam([self._image], lr=self.lr * _LEVEL, betas=self.betas)
            if self._waiting:
                self._adam.load_state_dict({**self._adam.state_dict(), "state": {0: self._waiting}})
        self._image.copy_(image)
        self._image.grad = gradient
        self._adam.step()
        return self._image.clamp(0, 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the moments."""
        if self._adam is None:
            return {"moments": dict(self._waiting)}
        moments: dict[str, Tensor] = self._adam.state_dict()["state"].get(0, {})
        return {"moments": {name: value.clone() for name, value in moments.items()}}  # Adam changes its own in place

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the place of the optimiser that gave this state."""
        self._adam, self._waiting = None, {name: value.clone() for name, value in state["moments"].items()}

    def resized(self, height: int, width: int) -> Self:
        """Return an optimiser for the same image at another size, with the moments resized like images."""
        new = type(self)(lr=self.lr, betas=self.betas)
        if moments := self.state_dict()["moments"]:
            first, second = (
                functional.interpolate(moments[name], size=(height, width), mode="bilinear", antialias=True)
                for name in ("exp_avg", "exp_avg_sq")
            )
            new._waiting = {"step": moments["step"], "exp_avg": first, "exp_avg_sq": second.clamp_min(0)}
        return new
