"""Style transfer by optimising one image (Gatys, Ecker, Bethge 2015)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional

from impasto.losses import PerceptualLoss


class ImageOptimizer(Protocol):
    """What `LBFGS` and `Adam` have in common."""

    def step(self, image: Tensor, value: float, gradient: Tensor) -> Tensor:
        """From an image, its loss and the gradient to the next image, in [0, 1]."""

    def state_dict(self) -> dict[str, Any]:
        """All that it remembers."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember that."""

    def resized(self, height: int, width: int) -> Self:
        """One for the same image at another size, with what it may keep."""


class Level(NamedTuple):
    """One size of the pyramid."""

    photo: Tensor  # RGB in [0, 1], (N, 3, H, W), at this size
    loss: Callable[[], PerceptualLoss]  # builds the loss for this size; called when the level begins
    steps: int  # evaluations of the loss


def evaluate(
    image: Tensor, loss: PerceptualLoss, targets: dict[str, Tensor], *, precision: torch.dtype
) -> tuple[dict[str, float], Tensor]:
    """Compute the terms of the loss and the gradient of their sum, float32 (N, 3, H, W): one closure call.

    Args:
        image: RGB in [0, 1], (N, 3, H, W).
        loss: holds the style.
        targets: of the photograph, from `loss.targets`.
        precision: of the pass through the loss network, torch.float32 or torch.bfloat16; distances are float32.

    Raises:
        FloatingPointError: the gradient is not finite, though all terms are.
    """
    image = image.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.enable_grad(), lowered(image, precision):
        terms = loss(image, targets)
        total = torch.stack(list(terms.values())).sum()
    if not total.requires_grad:
        raise ValueError(f"the loss does not depend on the image: its weights are {loss.weights}, its layers' too")
    (gradient,) = torch.autograd.grad(total, image)
    finite = gradient.isfinite().all()
    *values, kept = torch.stack([*(value.detach() for value in terms.values()), finite]).cpu().tolist()  # one wait
    found = dict(zip(terms, values, strict=True))
    if not kept and all(map(math.isfinite, values)):
        raise FloatingPointError(f"the gradient is not finite any more (loss {found})")
    return found, gradient.contiguous()


def lowered(image: Tensor, precision: torch.dtype) -> torch.autocast:
    """Autocast to this precision where the image lies; nothing for float32 and float64."""
    return torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


class Optimization:
    """An image being optimised: every `step` is one closure call, and `best` is always an image worth saving.

    Args:
        levels: from coarse to fine; one level is the ordinary case. The best image of a level, enlarged, is where the
            next one starts.
        start: the first image, of the size of the first level's photograph.
        optimizer: builds the optimiser.
        precision: of the pass through the loss network, torch.float32 or torch.bfloat16.
    """

    def __init__(
        self, levels: Sequence[Level], *, start: Tensor, optimizer: Callable[[], ImageOptimizer], precision: torch.dtype
    ) -> None:
        if not levels or min(level.steps for level in levels) < 1:
            raise ValueError(f"expected at least 1 step, got steps={[level.steps for level in levels]}")
        if start.shape != levels[0].photo.shape:
            expected, came = tuple(levels[0].photo.shape), tuple(start.shape)
            raise ValueError(f"expected a first image of the photograph's shape {expected}, got {came}")
        self.levels, self.precision = list(levels), precision
        self.level = self.calls = 0
        self.best, self.best_value = start, float("inf")
        self._image = start
        self._optimizer = optimizer()
        self._loss: PerceptualLoss | None = None  # of the level; built when its first step asks for it
        self._targets: dict[str, Tensor] = {}

    @property
    def steps(self) -> int:
        """Closure calls in all."""
        return sum(level.steps for level in self.levels)

    def step(self) -> dict[str, float]:
        """Evaluate the image so far, keep it if it is the best, and move on; return the terms of its loss.

        Raises:
            FloatingPointError: a term is not finite; names it. `best` is the best image before.
            ValueError: the last step is done, or the photograph is smaller than the deepest layer needs.
        """
        if self.calls == self.steps:
            raise ValueError(f"all {self.steps} steps are done")
        if self.calls == sum(level.steps for level in self.levels[: self.level + 1]):
            self.level += 1
            height, width = self.levels[self.level].photo.shape[-2:]
            self._image = resized(self.best, height, width)
            self.best, self.best_value = self._image, float("inf")
            self._optimizer, self._loss = self._optimizer.resized(height, width), None
        if self._loss is None:
            level = self.levels[self.level]
            self._loss, photo = level.loss(), level.photo.contiguous(memory_format=torch.channels_last)
            with lowered(photo, self.precision):
                self._targets = self._loss.targets(photo)
        try:
            terms, gradient = evaluate(self._image, self._loss, self._targets, precision=self.precision)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} at step {self.calls + 1}") from error
        for name, term in terms.items():
            if not math.isfinite(term):
                raise FloatingPointError(f"loss term '{name}' became {term} at step {self.calls + 1}")
        value = sum(terms.values())
        if value < self.best_value:
            self.best, self.best_value = self._image, value
        self._image = self._optimizer.step(self._image, value, gradient)
        self.calls += 1
        return terms

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on bit for bit; plain tensors, lists and numbers."""
        return {
            "level": self.level,
            "calls": self.calls,
            "best": self.best,
            "best_value": self.best_value,
            "image": self._image,
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the optimisation that gave this state was; refuse one of other sizes."""
        expected = tuple(self.levels[state["level"]].photo.shape) if state["level"] < len(self.levels) else None
        saved = tuple(state["image"].shape)
        if saved != expected:
            raise ValueError(f"the saved image has shape {saved}, and this run works on {expected}")
        self.level, self.calls = state["level"], state["calls"]
        self.best, self.best_value, self._image = state["best"], state["best_value"], state["image"]
        self._optimizer, self._loss = self._optimizer.resized(*saved[-2:]), None
        self._optimizer.load_state_dict(state["optimizer"])


def optimize_image(
    photo: Tensor,
    *,
    loss: PerceptualLoss,
    steps: int,
    optimizer: Callable[[], ImageOptimizer],
    precision: torch.dtype,
    start: Callable[[Tensor], Tensor] = torch.clone,
) -> Tensor:
    """Paint a photograph in the loss's style: a method like any network, only slower.

    Args:
        photo: RGB in [0, 1], (N, 3, H, W); each image is optimised by itself.
        loss: holds the style.
        steps: closure calls for each image.
        optimizer: builds the optimiser, `partial(LBFGS, ...)` or `partial(Adam, ...)`.
        precision: of the pass through the loss network, torch.float32 or torch.bfloat16.
        start: from the photograph to the first image; the photograph itself by default.

    Returns:
        The best image that was evaluated, RGB in [0, 1], (N, 3, H, W).

    Source: Gatys, Ecker, Bethge 2015, eq. 7.
    """
    results = []
    for one in torch.split(photo, 1):
        levels = [Level(one, lambda: loss, steps)]
        optimization = Optimization(levels, start=start(one), optimizer=optimizer, precision=precision)
        for _ in range(steps):
            optimization.step()
        results.append(optimization.best)
    return torch.cat(results)


def resized(image: Tensor, height: int, width: int) -> Tensor:
    """Resize images, bicubic and antialiased, clamped to [0, 1]: (N, 3, H, W) -> (N, 3, height, width)."""
    if image.shape[-2:] == (height, width):
        return image
    return functional.interpolate(image, size=(height, width), mode="bicubic", antialias=True).clamp(0, 1)
