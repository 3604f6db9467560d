"""Steps per second of a style network's training: ours beside the usual implementation of the same objective.

    python docs/measure/training.py outputs/training

From the same weights, with the same batches, each side in a process of its own; words of `impasto train` behind the
folder change what is trained, such as data=photographs "data.train=[<folder>]".
"""

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from hydra.utils import instantiate
from measuring import composed, measure, parser
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from impasto.data import Photographs
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Natural, Table
from impasto.evaluation.plots import new_figure, save_figure
from impasto.evaluation.speed import time_calls
from impasto.hardware import choose_precision, keep_freed_memory, peak_memory, synchronise
from impasto.images import from_uint8
from impasto.losses import PerceptualLoss, total_variation
from impasto.memory import gibibytes
from impasto.systems import StylizerSystem
from impasto.tables import digits

PARTS = ("loading", "network", "loss network", "optimiser")
_SHAPES = ((64, 1), (128, 2), (256, 4))  # channels, and by what the size is divided: as VGG's layers
_LAST = 20  # steps over which the losses at the end are averaged
_RANDOM = ("network=stylizer", "features=random", "loss=random", "style=stained_glass", "style_size=256", "data=sample")
_LAYERS = (  # as loss=johnson2016
    "loss.content_layers.relu2_2=0.0",
    "+loss.content_layers.relu3_3=1.0",
    "loss.style_layers.relu1_1=0.0",
    "+loss.style_layers.relu4_3=1.0",
)


class UsualLoss(nn.Module):
    """The same loss as `PerceptualLoss`, term by term, in plain PyTorch and float32.

    As in pytorch/examples' neural_style.py and its many descendants: output and photograph both go through the loss
    network as far as its deepest layer, Gram matrices are batched products of transposed activations.

    Args:
        loss: whose layers, weights, distances and style targets are taken.
    """

    def __init__(self, loss: PerceptualLoss) -> None:
        super().__init__()
        self.loss = loss
        self.layers = [*dict.fromkeys([*loss.content_layers, *loss.style_layers])]

    def targets(self, photo: Tensor) -> Mapping[str, Tensor]:
        """Return the photograph's activations at all layers."""
        found: dict[str, Tensor] = self.loss.features(photo, self.layers)
        return found

    def forward(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of the weighted terms, a mean over the batch."""
        loss, total = self.loss, output.new_zeros(())
        found = loss.features(output, self.layers)
        for layer, weight in loss.content_layers.items():
            distance = loss.content_distance(found[layer], targets[layer]).mean()
            total = total + loss.weights["content"] * weight * distance
        for layer, weight in loss.style_layers.items():
            n, c, h, w = found[layer].shape
            flat = found[layer].view(n, c, h * w)
            gram = torch.bmm(flat, flat.transpose(1, 2)) / (c * h * w)
            distance = loss.style_distance(gram, loss.get_buffer(f"gram_{layer}")[:1]).mean()
            total = total + loss.weights["style"] * weight * distance
        return total + loss.weights["tv"] * total_variation(output).mean()


class Training(NamedTuple):
    """What is trained, alike on all sides: initial weights, loss, batches.

    Attributes:
        network: the style network.
        loss: with its loss network.
        data: photographs, whose batches are the same each time.
        rate: Adam's learning rate.
        device: "cpu" or "cuda".
    """

    network: nn.Module
    loss: PerceptualLoss
    data: Photographs
    rate: float
    device: str


class Side(NamedTuple):
    """How it is trained.

    Attributes:
        ours: as `impasto train` does, with channels_last, gradients of our own and `precision`; else the usual way.
        precision: torch.float32 or torch.bfloat16.
        kept: whether the allocator keeps freed memory (`impasto.hardware`).
        steps: how many.
        warmup: of them, the first, are not timed.
    """

    ours: bool
    precision: torch.dtype
    kept: bool
    steps: int
    warmup: int


class TrainingSpeed(Comparison):
    """The usual side with the plain allocator and with ours, and our side."""

    name: ClassVar[str] = "training"
    training: Training
    precision: str
    steps: Count
    timed: Count
    warmup: Natural
    loss_network: str

    def cells(self) -> Cells:
        """Train side by side."""
        sides = {
            "usual, plain allocator": Side(False, torch.float32, False, self.warmup + self.timed, self.warmup),
            "usual, kept allocator": Side(False, torch.float32, True, self.steps, self.warmup),
            "ours": Side(True, choose_precision(self.precision, self.device), True, self.steps, self.warmup),
        }
        return {name: partial(in_own_process, self.training, side) for name, side in sides.items()}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a side."""
        plain, kept, ours = figures.values()
        columns = ["side", "precision", "allocator", "steps / s", "a step, s", *PARTS, "peak memory", "loss at the end"]
        lines = [
            [
                *(row["side"], row["precision"], row["allocator"], digits(row["steps_per_second"])),
                *(digits(row[key]) for key in ("seconds", *PARTS)),
                gibibytes(row["peak_bytes"]),
                digits(row["loss_at_the_end"], 4) if row["steps"] == ours["steps"] else "-",
            ]
            for row in figures.values()
        ]
        rates = [ours["steps_per_second"] / row["steps_per_second"] for row in (plain, kept)]
        loss = ours["loss_at_the_end"] / kept["loss_at_the_end"]
        flop, rate = ours["flop"], ours["flop_per_second"]
        notes = [
            f"Ours: {rates[0]:.2f} times the steps per second of the usual side with the plain allocator, "
            f"{rates[1]:.2f} times with ours; loss after {ours['steps']} steps {loss:.4f} of the usual side's (mean of "
            "the last 20).",
            f"Batch {self.training.data.batch_size}; loss network {self.loss_network}. Median seconds; backward passes "
            "count for what they pass through.",
            f"A step of ours is {flop / 1e9:.0f} GFLOP. At {rate / 1e9:.0f} GFLOP/s, which the fastest of three "
            f"convolutions reaches here, it would take {flop / rate:.3g} s.",
        ]
        rows = [{key: value for key, value in row.items() if key != "losses"} for row in figures.values()]
        return Table(rows, self.words(columns, lines, notes))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw what a step's time goes into."""
        names = [f"{row['side']}, {row['allocator']} allocator" for row in figures.values()]
        parts = {part: [row[part] for row in figures.values()] for part in PARTS}
        plot_stacked(path, names, parts, label="seconds a step")
        return [path]


def in_own_process(training: Training, side: Side) -> Figures:
    """Train in a fresh process, whose allocator no other has touched.

    Raises:
        MemoryError: the process was killed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measure_training, copy.deepcopy(training), side).result()
        except BrokenProcessPool as error:
            raise MemoryError("a side's process was killed, perhaps for want of memory") from error


def measure_training(training: Training, side: Side) -> Figures:
    """Train some steps and time their parts.

    Backward passes count for what they pass through: first from the loss to the output, then through the network.

    Returns:
        Plain numbers: steps per second, the median seconds of a step and of its parts, bytes of the process at its
        peak, and "losses", of every step.
    """
    if side.kept:
        keep_freed_memory()
    network, loss, context, memory_format = _prepared(training, side)
    optimizer = torch.optim.Adam(network.parameters(), lr=training.rate)
    batches = iter(_loader(training.data))
    clock = _Clock(training.device)
    losses: list[float] = []
    counter = FlopCounterMode(display=False)
    with peak_memory(training.device) as peak:
        for step in range(side.steps):
            if step == side.warmup:
                clock.parts.clear()
            counting = counter if step == 0 else nullcontext()
            clock.start()
            photo = from_uint8(next(batches).image.to(training.device)).contiguous(memory_format=memory_format)
            clock.lap("loading")
            with counting:
                with context():
                    output = network(photo)
                clock.lap("network")
                given = output.detach().requires_grad_()
                with context():
                    total = loss(given, photo)
                total.backward()  # type: ignore[no-untyped-call]
                clock.lap("loss network")
                optimizer.zero_grad()
                output.backward(given.grad)
                clock.lap("network")
            optimizer.step()
            clock.lap("optimiser")
            clock.stop()
            losses.append(float(total.detach()))
    return {
        "side": "ours" if side.ours else "usual",
        "precision": str(side.precision).removeprefix("torch."),
        "allocator": "kept" if side.kept else "plain",
        "steps": side.steps,
        "steps_per_second": 1 / statistics.median(clock.parts["step"]),
        "seconds": statistics.median(clock.parts["step"]),
        **{part: statistics.median(clock.parts[part]) for part in PARTS},
        "peak_bytes": peak.bytes,
        "loss_at_the_end": statistics.fmean(losses[-_LAST:]),
        "losses": losses,
        "flop": counter.get_total_flops(),
        "flop_per_second": max(_rate(photo, *shape, side.precision, training.device) for shape in _SHAPES),
    }


def _rate(photo: Tensor, channels: int, part: int, precision: torch.dtype, device: str) -> float:
    """Return the operations a second of a convolution of 3 x 3, forward, without gradients."""
    sides = [side // part for side in photo.shape[-2:]]
    x = torch.rand(len(photo), channels, *sides, device=device, dtype=precision)
    layer = nn.Conv2d(channels, channels, 3, padding=1, device=device, dtype=precision)
    x, layer = x.to(memory_format=torch.channels_last), layer.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        seconds = time_calls(lambda: layer(x), warmup=2, repeats=5, device=device)["seconds"]
    return float(2 * 9 * channels * x.numel() / seconds)


class _Clock:
    """Seconds of the parts of steps; a part may come twice in a step."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.parts: dict[str, list[float]] = {}

    def start(self) -> None:
        synchronise(self.device)
        self.begin = self.last = time.perf_counter()
        self.now: dict[str, float] = {}

    def lap(self, part: str) -> None:
        synchronise(self.device)
        seen = time.perf_counter()
        self.now[part] = self.now.get(part, 0.0) + seen - self.last
        self.last = seen

    def stop(self) -> None:
        for part, seconds in {**self.now, "step": self.last - self.begin}.items():
            self.parts.setdefault(part, []).append(seconds)


Context = Callable[[], AbstractContextManager[None]]
Loss = Callable[[Tensor, Tensor], Tensor]


def _prepared(training: Training, side: Side) -> tuple[nn.Module, Loss, Context, torch.memory_format]:
    if not side.ours:
        usual = UsualLoss(training.loss).to(training.device)
        return (
            training.network.to(training.device),
            lambda output, photo: usual(output, usual.targets(photo)),
            nullcontext,
            torch.contiguous_format,
        )
    system = StylizerSystem(
        training.network, training.loss, optimizer=torch.optim.Adam, scheduler=None, channels_last=True, compiled=False
    ).to(training.device)
    loss = system.loss

    def total(output: Tensor, photo: Tensor) -> Tensor:
        terms: Mapping[str, Tensor] = loss(output, loss.targets(photo))
        return torch.stack(list(terms.values())).sum()

    context = partial(torch.autocast, training.device, side.precision, enabled=side.precision != torch.float32)
    return system.network, total, context, system.memory_format


def _loader(data: Photographs) -> Any:  # noqa: ANN401 (Lightning's union of loaders)
    data.prepare_data()
    data.setup("fit")
    return data.train_dataloader()


def plot_stacked(path: Path, groups: Sequence[str], parts: Mapping[str, Sequence[float]], *, label: str) -> None:
    """Draw stacked bars, one a group.

    Args:
        path: of the PNG.
        groups: names of the bars.
        parts: by name, a value a group.
        label: of the axis.
    """
    figure = new_figure(1)
    axis = figure.subplots()
    bottoms = [0.0] * len(groups)
    for name, values in parts.items():
        axis.barh(groups, values, left=bottoms, label=name)
        bottoms = [bottom + value for bottom, value in zip(bottoms, values, strict=True)]
    axis.set(xlabel=label, xlim=(0, 1.15 * max(bottoms)))
    axis.invert_yaxis()
    for index, total in enumerate(bottoms):
        axis.annotate(f" {total:.3g}", (total, index), va="center", fontsize=8)
    figure.legend(loc="outside upper center", ncols=len(parts), fontsize=8)
    save_figure(figure, path)


def main(words: Sequence[str] | None = None) -> None:
    """Measure as the words of the command line have it."""
    options = parser("Steps per second of a training: ours beside the usual implementation.")
    options.add_argument("--size", type=int, default=256, help="sides of the crops in pixels")
    options.add_argument("--steps", type=int, default=200, help="whose losses are compared")
    options.add_argument("--timed", type=int, default=10, help="steps of the usual side with the plain allocator")
    options.add_argument("--warmup", type=int, default=3, help="steps that are not timed")
    options.add_argument("--rate", type=float, default=1e-3, help="Adam's; Johnson 2016 sec. 4.1")
    options.add_argument("--precision", default="auto", help="of our side")
    given = options.parse_args(words)
    cfg = composed("train", *_RANDOM, *_LAYERS, f"data.train_transform.size={given.size}", *given.words)
    torch.manual_seed(cfg.seed)
    style = instantiate(cfg.style).image(cfg.style_size)
    features = instantiate(cfg.features)(style)
    loss = instantiate(cfg.loss)(features, style)
    training = Training(instantiate(cfg.network), loss, instantiate(cfg.data), given.rate, given.device)
    comparison = TrainingSpeed(
        training=training,
        precision=given.precision,
        steps=given.steps,
        timed=given.timed,
        warmup=given.warmup,
        loss_network=f"{cfg.features.architecture}: {features.description}",
        device=given.device,
    )
    measure(comparison, given)


if __name__ == "__main__":
    main()
