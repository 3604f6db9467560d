"""Projected L-BFGS for one image, asked and told: every evaluation of the loss is one iteration."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

Preconditioner = Callable[[Tensor], Tensor]

Pair = tuple[Tensor, Tensor, Tensor]  # a step, the change of the gradient over it, and their scalar product

_LEVEL = 1 / 255
_CURVATURE = 1e-10  # of |s| |y|: a pair with less says nothing of the curvature and is left out
_BACKTRACKS = 4
_SHRINK = 0.25


def smooth(gradient: Tensor, *, exponent: float) -> Tensor:
    """Scale a gradient's frequencies by 1 / (1 + f)^exponent, f in cycles per image: coarse changes before fine ones.

    As the first guess of the inverse Hessian it tells L-BFGS what images are like, whose large structures have most of
    the energy; fewer iterations reach the same loss. The map, (N, C, H, W) -> the same in float32 (float64 for
    float64), is linear, symmetric and positive definite. Ours, after Olah, Mordvintsev, Schubert 2017, "Feature
    Visualization", whose images are parametrised so.
    """
    height, width = gradient.shape[-2:]
    gradient = gradient if gradient.dtype == torch.float64 else gradient.float()
    like = {"device": gradient.device, "dtype": gradient.dtype}
    down = torch.fft.fftfreq(height, **like).view(-1, 1) * height
    across = torch.fft.rfftfreq(width, **like).view(1, -1) * width
    scale = (1 + (down.square() + across.square()).sqrt()).pow(-exponent)
    spectrum = torch.fft.rfft2(gradient) * (scale / scale.mean())
    smoothed: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return smoothed


def identity(gradient: Tensor) -> Tensor:
    """Return the gradient as it is: plain L-BFGS."""
    return gradient


class LBFGS:
    """L-BFGS whose images stay in [0, 1], without a line search.

    `next_image = optimizer.step(image, value, gradient)`, where value and gradient are those of `image`, which must be
    the image that the last step returned. What differs from `torch.optim.LBFGS` with clamping:

    * the curvature pairs are those of the projected steps, and pixels that are held by the bounds take no part in the
      direction, so that projection does not spoil the curvature;
    * the first step moves by `first_step` grey levels on average. Torch's moves by 1 in all pixels together, so little
      that the curvature found is noise, negative on an image in [0, 1], and the raw gradient is added next;
    * a step after which the loss is more than `guard` times what it was is taken back and shortened fourfold; after
      four times the history is forgotten.

    Args:
        history: curvature pairs that are kept; each takes the memory of two images.
        first_step: mean change of the first step in grey levels (of 255).
        guard: how many times its former value the loss may grow in a step.
        preconditioner: symmetric, positive definite, (N, C, H, W) -> the same: the shape of the first guess of the
            inverse Hessian. `identity` is the textbook's.

    Source: Liu and Nocedal 1989; Nocedal and Wright 2006, algorithm 7.4; Johnson 2016 sec. 4.1 for the projection. The
    treatment of bounds is that of Bertsekas 1982, "Projected Newton methods".
    """

    def __init__(self, *, history: int, first_step: float, guard: float, preconditioner: Preconditioner) -> None:
        if history < 1 or first_step <= 0 or guard < 1:
            raise ValueError(
                "expected gatys_optimizer.history of at least 1, first_step above 0 and guard of at least 1, "
                f"got {history}, {first_step} and {guard}"
            )
        self.history, self.first_step, self.guard = history, first_step, guard
        self.preconditioner = preconditioner
        self._pairs: list[Pair] = []
        self._last: dict[str, Tensor] = {}  # image, value, gradient and direction of the last step that was accepted
        self._backtracks = 0

    @torch.no_grad()
    def step(self, image: Tensor, value: float, gradient: Tensor) -> Tensor:
        """From an image, RGB in [0, 1], (N, 3, H, W), its loss and the gradient, return the image to evaluate next."""
        if self._last:
            if value > self.guard * float(self._last["value"]):
                return self._backtrack()
            self._remember(image - self._last["image"], gradient - self._last["gradient"])
        self._backtracks = 0
        direction = self._direction(image, gradient)
        # Doubles, since a loss is compared with the one before it.
        kept = torch.tensor(value, dtype=torch.float64)
        self._last = {"image": image, "value": kept, "gradient": gradient, "direction": direction}
        return (image + direction).clamp(0, 1)

    def _backtrack(self) -> Tensor:
        self._backtracks += 1
        image, direction = self._last["image"], self._last["direction"]
        shrinks = self._backtracks
        if self._backtracks > _BACKTRACKS:
            shrinks -= _BACKTRACKS
        if self._backtracks == _BACKTRACKS + 1:
            self._pairs = []
            direction = self._last["direction"] = self._direction(image, self._last["gradient"])
        return (image + _SHRINK**shrinks * direction).clamp(0, 1)

    def _remember(self, step: Tensor, change: Tensor) -> None:
        curvature = _dot(step, change)
        if curvature > _CURVATURE * step.norm() * change.norm():
            self._pairs.append((step, change, curvature))
            del self._pairs[: -self.history]

    def _direction(self, image: Tensor, gradient: Tensor) -> Tensor:
        held = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))  # the bounds hold these pixels
        free = gradient.masked_fill(held, 0)
        direction = -self._inverse_hessian(free).masked_fill(held, 0)
        if self._pairs and _dot(direction, gradient) < 0:
            return direction
        direction = -self.preconditioner(free).masked_fill(held, 0)
        size = direction.abs().mean().clamp_min(torch.finfo(torch.float32).tiny)
        return direction * (self.first_step * _LEVEL / size)

    def _inverse_hessian(self, gradient: Tensor) -> Tensor:
        """The two-loop recursion."""
        x = gradient
        weights = []
        for step, change, curvature in reversed(self._pairs):
            weights.append(_dot(step, x) / curvature)
            x = torch.addcmul(x, change, weights[-1], value=-1)
        x = self.preconditioner(x)
        if self._pairs:
            _, change, curvature = self._pairs[-1]
            x = x * (curvature / _dot(change, self.preconditioner(change)))
        for (step, change, curvature), weight in zip(self._pairs, reversed(weights), strict=True):
            x = torch.addcmul(x, step, weight - _dot(change, x) / curvature)
        return x

    def state_dict(self) -> dict[str, Any]:
        """Return all that a run needs to go on bit for bit: tensors, lists of tensors and numbers."""
        return {"pairs": [list(pair) for pair in self._pairs], "last": dict(self._last), "backtracks": self._backtracks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the place of the optimiser that gave this state."""
        self._pairs = [(step, change, curvature) for step, change, curvature in state["pairs"]]
        self._last, self._backtracks = dict(state["last"]), state["backtracks"]

    def resized(self, height: int, width: int) -> Self:
        """Return a new optimiser for another size, at which the loss is another function, of other curvature."""
        return type(self)(
            history=self.history, first_step=self.first_step, guard=self.guard, preconditioner=self.preconditioner
        )


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a.flatten(), b.flatten())  # a tensor, so that a GPU is not waited for
