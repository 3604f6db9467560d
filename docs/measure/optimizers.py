"""Our L-BFGS beside torch's own, projected and with strong Wolfe: loss and seconds of Gatys' optimisation.

    python docs/measure/optimizers.py outputs/optimizers "evaluation.photographs=[<photographs>]"

Words of `impasto evaluate` behind the folder, such as "evaluation.sizes=[384,256]" "evaluation.counts=[1,5]"
"evaluation.steps=[300,300]"; the loss is that of Gatys 2015 with content weight 1e-4 (Fig. 2 E, F).
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from hydra.utils import instantiate
from measuring import composed, measure, parser
from torch import Tensor

from impasto.evaluation.comparison import Figures, Table
from impasto.evaluation.objective import Curve, Objective, first_below
from impasto.gatys import evaluate, lowered
from impasto.losses import PerceptualLoss

REFERENCE = "torch L-BFGS, projected, fp32"
_LEVELS = 255.0  # on an image in [0, 1] torch's first step leads to infinity
_OURS = (
    "{_target_:impasto.evaluation.objective.optimization_curve,_partial_:true,start:{_target_:impasto.gatys.from_photo,"
    "_partial_:true},optimizer:{_target_:impasto.gatys.LBFGS,_partial_:true,history:100,first_step:5.0,guard:2.0,"
    "preconditioner:{_target_:impasto.gatys.smooth,_partial_:true,exponent:1.0}}}"
)
_WORDS = (
    "loss=gatys2015",
    "loss.weights.content=1e-4",
    "style_size=null",
    "evaluation.sizes=[384]",
    "evaluation.counts=[5]",
    "evaluation.steps=[300]",
    "evaluation.marks=[50,100,200,300]",
    "evaluation.square=false",
    "evaluation.network=null",
    "~evaluation.curves",
    f"+evaluation.curves={{ours:{_OURS}}}",
)


class Optimizers(Objective):
    """The objective's curves, with how long the others take to reach what the reference has at the second mark."""

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """The objective's table, and a sentence a curve."""
        rows, text, _ = super().table(figures)
        lines = [
            self._compared(figures, size, name) for size in self._paths for name in self.curves if name != REFERENCE
        ]
        return Table(rows, text + "".join(f"{line}\n" for line in lines))

    def _compared(self, figures: Mapping[str, Figures], size: int, name: str) -> str:
        mark, shares, lower = self.marks[1], [], 0
        photographs = [figures[f"{size} px, {path.name}"]["curves"] for path in self._paths[size]]
        for curves in photographs:
            curve, other = (Curve(**curves[each]) for each in (name, REFERENCE))
            seconds = seconds_below(curve, other.values[mark])
            shares.append(float("inf") if seconds is None else seconds / other.seconds[mark])
            lower += all(curve.values[m] < other.values[m] for m in self.marks if m < len(curve.values))
        return (
            f"- {size} px: {name} reaches the loss that {REFERENCE} has after {mark} calls in "
            f"{statistics.median(shares):.2f} of its seconds (median; {min(shares):.2f} to {max(shares):.2f}); "
            f"lower at every mark on {lower} of {len(photographs)} photographs"
        )


def seconds_below(curve: Curve, value: float) -> float | None:
    """Return the seconds after which the curve is at or below a value; None if it never is."""
    call = first_below(curve, value)
    return None if call is None else curve.seconds[call]


def torch_lbfgs_curve(
    photo: Tensor,
    style: Tensor,
    loss: PerceptualLoss,
    steps: int,
    *,
    line_search: str | None,
    history: int,
    precision: torch.dtype,
) -> Curve:
    """Optimise with `torch.optim.LBFGS` from the photograph, clamped to the valid range after each step.

    Every evaluation counts as a call, those of a line search included; only the loss of clamped images, which could be
    saved, is noted.

    Args:
        photo: RGB in [0, 1], (1, 3, H, W).
        style: not used.
        loss: holds the style.
        steps: closure calls after the first.
        line_search: None or "strong_wolfe".
        history: curvature pairs.
        precision: of the pass through the loss network.

    Returns:
        `steps` + 1 values, the best so far.
    """
    del style
    channels_last = photo.contiguous(memory_format=torch.channels_last)
    with lowered(photo, precision):
        targets = loss.targets(channels_last)
    image = torch.nn.Parameter(photo * _LEVELS)
    optimizer = torch.optim.LBFGS(
        [image],
        max_iter=1,
        max_eval=25 if line_search else 1,
        tolerance_grad=-1,
        tolerance_change=-1,
        history_size=history,
        line_search_fn=line_search,
    )
    values: list[float] = []
    seconds: list[float] = []
    begin = time.perf_counter()
    fresh = True  # whether the image is the clamped one

    def closure() -> Tensor:
        nonlocal fresh
        terms, gradient = evaluate(image.detach() / _LEVELS, loss, targets, precision=precision)
        image.grad = gradient / _LEVELS
        total = sum(terms.values())
        before = values[-1] if values else float("inf")
        values.append(total if fresh and total < before else before)
        seconds.append(time.perf_counter() - begin)
        fresh = False
        return torch.tensor(total)

    while len(values) < steps + 1:
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        image.data.clamp_(0, _LEVELS)
        fresh = True
    return Curve(values[: steps + 1], seconds[: steps + 1])


CURVES: dict[str, Callable[..., Curve]] = {
    name: partial(torch_lbfgs_curve, line_search=line_search, history=100, precision="fp32")
    for name, line_search in ((REFERENCE, None), ("torch L-BFGS, strong Wolfe, fp32", "strong_wolfe"))
}


def main(words: Sequence[str] | None = None) -> None:
    """Measure as the words of the command line have it."""
    given = parser("Our L-BFGS beside torch's own.").parse_args(words)
    cfg: Any = composed("evaluate", *_WORDS, f"device={given.device}", *given.words)
    keys: dict[str, Any] = instantiate(cfg.evaluation, _convert_="all").__dict__
    measure(Optimizers(**{**keys, "curves": {**keys["curves"], **CURVES}}), given)


if __name__ == "__main__":
    main()
