"""Loss networks: seconds of a loss and its gradient, and what networks trained with each reach, judged by VGG-19.

    python docs/measure/loss_networks.py outputs/loss_networks --photographs <folder that no run has seen>
        --run vgg19=<run folder> --run pocket=<run folder>

The runs are trained alike but for the loss network; words of `impasto evaluate` behind the folder change the judge.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from hydra.utils import instantiate
from measuring import composed, measure, parser
from torch import Tensor, nn

from impasto.data import CentreCrop
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Natural, Table, fingerprint
from impasto.evaluation.speed import spread, time_calls
from impasto.features import LossNetwork
from impasto.hardware import computes_bf16
from impasto.images import read_image, sheet, write_image
from impasto.listing import find_images
from impasto.losses import PerceptualLoss, mean_square
from impasto.networks import Trained
from impasto.tables import digits, markdown
from impasto.trained import load_run

_SHOWN = 6  # photographs on the sheet
_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # of the style term that is timed; content at the third
_JUDGE = ("features=vgg19", "loss=johnson2016_official", "loss.weights.style=8.0", "loss.weights.tv=0.65025")


class LossNetworks(Comparison):
    """Each loss network's time in each precision; each run's loss; ratios are to the first."""

    name: ClassVar[str] = "loss_networks"
    networks: dict[str, Callable[[Tensor], LossNetwork]]
    runs: dict[str, Path]
    photographs: list[str]
    count: Count
    size: Count
    batch: Count
    warmup: Natural
    repeats: Count
    style: Tensor
    loss: PerceptualLoss

    @cached_property
    def _trained(self) -> dict[str, Trained]:
        return {name: load_run(path, system="stylizer") for name, path in self.runs.items()}

    @cached_property
    def _squares(self) -> list[Tensor]:
        cut = CentreCrop(size=self.size)
        return [cut(read_image(found.path)) for found in find_images(self.photographs)[: self.count]]

    def about(self) -> dict[str, Any]:
        """Say which runs are judged."""
        return {name: fingerprint(trained.network) for name, trained in self._trained.items()}

    def cells(self) -> Cells:
        """Time each loss network, judge each run."""
        precisions = [torch.float32, *([torch.bfloat16] if computes_bf16(self.device) else [])]
        cells: dict[str, Callable[[], Figures]] = {
            f"{name}, {str(precision).removeprefix('torch.')}": partial(self._time, name, precision)
            for precision in precisions
            for name in self.networks
        }
        return cells | {f"trained with {name}": partial(self._judge, name) for name in self._trained}

    def _time(self, name: str, precision: torch.dtype) -> Figures:
        found = time_gradient(
            self.networks[name](self.style),
            layers=_LAYERS,
            size=self.size,
            batch=self.batch,
            precision=precision,
            warmup=self.warmup,
            repeats=self.repeats,
            device=self.device,
        )
        return {"loss_network": name, "precision": str(precision).removeprefix("torch."), **found}

    def _judge(self, name: str) -> Figures:
        trained = self._trained[name]
        return {"run": name, "steps": trained.card.get("steps"), **judge(trained.network, self.loss, self._squares)}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a loss network and precision; the runs stand in a table of their own below."""
        speed = [{**row} for row in figures.values() if "loss_network" in row]
        runs = [{**row, "ratio": row["loss"]} for row in figures.values() if "run" in row]
        for row in speed:
            base = next(first for first in speed if first["precision"] == row["precision"])
            row["ratio"] = base["seconds"] / row["seconds"]
        first = next(iter(self.networks))
        columns = ["loss network", "precision", "seconds of loss and gradient", f"times as fast as {first}"]
        lines = [[row["loss_network"], row["precision"], spread(row), digits(row["ratio"])] for row in speed]
        notes = [f"Batch {self.batch} at {self.size} px, channels_last; medians, quartiles in brackets."]
        if runs:
            terms = ["content", "style", "tv", "loss", "ratio"]
            for row in reversed(runs):
                row["ratio"] = row["loss"] / runs[0]["loss"]
            judged = [[row["run"], str(row["steps"]), *(digits(row[term], 4) for term in terms)] for row in runs]
            notes += [
                "",
                markdown(["trained with", "steps", *terms], judged),
                f"Judged on {len(self._squares)} photographs.",
            ]
        return Table(speed, self.words(columns, lines, notes))

    @torch.inference_mode()
    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw the first photographs and what each run makes of them."""
        if not self._trained:
            return []
        networks = [trained.network for trained in self._trained.values()]
        rows = [[s, *(network(s[None])[0].clamp(0, 1) for network in networks)] for s in self._squares[:_SHOWN]]
        write_image(path, sheet(rows))
        return [path]


def time_gradient(
    features: LossNetwork,
    *,
    layers: Sequence[str],
    size: int,
    batch: int,
    precision: torch.dtype,
    warmup: int,
    repeats: int,
    device: str,
) -> Figures:
    """Time content and style loss and their gradient with respect to the image, in channels_last.

    Args:
        features: the loss network.
        layers: of the style term; content is at the last but one.
        size: pixels of a square's side.
        batch: images at once.
        precision: torch.float32, or torch.bfloat16 under autocast.
        warmup: calls before.
        repeats: calls that are timed.
        device: "cpu" or "cuda".

    Returns:
        Plain numbers: seconds, the median and the quartiles.
    """
    generator = torch.Generator().manual_seed(0)
    image, style = torch.rand(batch, 3, size, size, generator=generator), torch.rand(1, 3, size, size)
    loss = PerceptualLoss(
        features,
        style,
        content_layers={layers[-2]: 1.0},
        style_layers=dict.fromkeys(layers, 1.0),
        weights={"content": 1.0, "style": 1.0, "tv": 1.0},
        content_distance=mean_square,
        style_distance=mean_square,
    ).to(device)
    loss.to(memory_format=torch.channels_last)
    photo = image.to(device, memory_format=torch.channels_last)
    output = photo.flip(0).requires_grad_()

    def call() -> None:
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            total = torch.stack(list(loss(output, targets).values())).sum()
        torch.autograd.grad(total, output)

    with torch.autocast(device, precision, enabled=precision != torch.float32):
        targets = loss.targets(photo)
    return time_calls(call, warmup=warmup, repeats=repeats, device=device)


@torch.inference_mode()
def judge(network: nn.Module, loss: PerceptualLoss, photographs: Sequence[Tensor]) -> Figures:
    """Compute the loss of a network's outputs.

    Args:
        network: (1, 3, H, W) -> (1, 3, H, W).
        loss: of the full loss network.
        photographs: (3, H, W) each.

    Returns:
        Means over the photographs: "content", "style", "tv" and "loss", their sum.
    """
    sums: dict[str, float] = {}
    for photo in photographs:
        image = photo[None]
        for name, value in loss(network(image).clamp(0, 1), loss.targets(image)).items():
            sums[name] = sums.get(name, 0.0) + float(value) / len(photographs)
    return {**sums, "loss": sum(sums.values())}


def main(words: Sequence[str] | None = None) -> None:
    """Measure as the words of the command line have it."""
    options = parser("Loss networks: seconds, and networks trained with each.")
    options.add_argument("--networks", nargs="+", default=["vgg16=random", "vgg19=vgg19", "pocket=pocket"])
    options.add_argument("--run", action="append", default=[], help="name=folder of a run that is judged")
    options.add_argument("--photographs", nargs="+", default=[], help="on which runs are judged")
    for name, value in {"count": 64, "size": 256, "batch": 4, "warmup": 2, "repeats": 9}.items():
        options.add_argument(f"--{name}", type=int, default=value)
    given = options.parse_args(words)
    cfg = composed("evaluate", *_JUDGE, *given.words)
    style = instantiate(cfg.style).image(cfg.style_size)
    named = dict(text.split("=", 1) for text in given.networks)
    comparison = LossNetworks(
        networks={name: instantiate(composed("evaluate", f"features={c}").features) for name, c in named.items()},
        runs={name: Path(path) for name, path in (text.split("=", 1) for text in given.run)},
        photographs=given.photographs,
        count=given.count,
        size=given.size,
        batch=given.batch,
        warmup=given.warmup,
        repeats=given.repeats,
        style=style,
        loss=instantiate(cfg.loss)(instantiate(cfg.features)(style), style),
        device=given.device,
    )
    measure(comparison, given)


if __name__ == "__main__":
    main()
