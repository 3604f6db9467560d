"""Steps per second of a style network's training, ours beside the usual one, and what the time goes into."""

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from impasto.allocator import keep_freed_memory
from impasto.data import Photographs
from impasto.evaluation.usual_training import UsualLoss
from impasto.hardware import peak_memory, synchronise
from impasto.losses import PerceptualLoss
from impasto.systems import StylizerSystem

Row = dict[str, Any]
PARTS = ("loading", "network", "loss network", "optimiser")
_LAST = 20  # steps over which the losses at the end are averaged


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
        kept: whether the allocator keeps freed memory (`impasto.allocator`).
        steps: how many.
        warmup: of them, the first, are not timed.
    """

    ours: bool
    precision: torch.dtype
    kept: bool
    steps: int
    warmup: int


def in_own_process(training: Training, side: Side) -> Row:
    """Train in a fresh process, whose allocator no other has touched.

    Raises:
        MemoryError: the process was killed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measure_training, training, side).result()
        except BrokenProcessPool as error:
            raise MemoryError(
                "a side's process was killed, perhaps for want of memory; try smaller photographs"
            ) from error


def measure_training(training: Training, side: Side) -> Row:
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
    with peak_memory(training.device) as peak:
        for step in range(side.steps):
            if step == side.warmup:
                clock.parts.clear()
            clock.start()
            photo = next(batches).image.to(training.device, memory_format=memory_format)
            clock.lap("loading")
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
    }


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
