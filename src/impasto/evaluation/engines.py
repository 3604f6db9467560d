"""What engines take for a network, each in a process of its own, beside PyTorch as users run it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from skimage import data
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from impasto.allocator import keep_freed_memory
from impasto.engines import ENGINES
from impasto.engines.form import form_of
from impasto.evaluation.timing import time_calls
from impasto.hardware import peak_memory, synchronise
from impasto.networks import Trained

Row = dict[str, Any]
_FEWEST = 3  # repeats


class Side(NamedTuple):
    """What is measured.

    Attributes:
        engine: its name; None for the network as it was trained, in PyTorch.
        precision: "fp32" or "bf16".
        kept: whether the allocator keeps freed memory (`impasto.allocator`), as impasto tells it to.
    """

    engine: str | None
    precision: str
    kept: bool


class Plan(NamedTuple):
    """How it is measured.

    Attributes:
        sizes: pixels of a square's side.
        batches: images at once.
        warmup: calls before.
        repeats: calls that are timed, at most.
        most_seconds: after which no more are; three there are at least, where `repeats` is more.
        device: "cpu" or "cuda".
        folder: where the outputs of the first side are kept, with which the others' are compared.
    """

    sizes: Sequence[int]
    batches: Sequence[int]
    warmup: int
    repeats: int
    most_seconds: float
    device: str
    folder: Path


def in_own_process(trained: Trained, side: Side, plan: Plan) -> list[Row]:
    """Measure a side in a fresh process, whose allocator and compiled code no other has touched.

    Returns:
        A row a cell; see `measure_side`. A process that was killed, as where memory ran out, gives a row "error".
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measure_side, trained, side, plan).result()
        except BrokenProcessPool:
            return [_row(side) | {"error": "its process was killed, perhaps for want of memory"}]
        except (ImportError, ValueError) as error:
            return [_row(side) | {"error": " ".join(str(error).split())}]


def measure_side(trained: Trained, side: Side, plan: Plan) -> list[Row]:
    """Time a network at every size and batch; sizes grow, so that each peak is a cell's own.

    Returns:
        Rows of plain numbers: seconds (median and quartiles), images per second, seconds of the first call, bytes of
        the process at its peak, mean and largest deviation from eager float32 in grey levels.
    """
    if side.kept:
        keep_freed_memory()
    run = _prepared(trained, side, plan.device)
    channels = form_of(trained.network).channels
    return [
        _row(side) | {"size": size, "batch": batch} | _cell(run, size, batch, channels, plan)
        for size in sorted(plan.sizes)
        for batch in sorted(plan.batches)
    ]


def _cell(run: Callable[[Tensor], Tensor], size: int, batch: int, channels: int, plan: Plan) -> Row:
    image = _photographs(size, batch, channels).to(plan.device)
    with peak_memory(plan.device) as peak:
        begin = time.perf_counter()
        output = run(image)
        synchronise(plan.device)
        first = time.perf_counter() - begin
        call = partial(run, image)
        once = time_calls(call, warmup=0, repeats=1, device=plan.device).median
        repeats = min(plan.repeats, max(_FEWEST, int(plan.most_seconds / max(once, 1e-6))))
        timing = time_calls(call, warmup=plan.warmup, repeats=repeats, device=plan.device)
    mean, largest = _deviation(output, plan.folder / f"{size}_{batch}.npy")
    return {
        "seconds": timing.median,
        "low": timing.low,
        "high": timing.high,
        "images_per_second": batch / timing.median,
        "first_seconds": first,
        "peak_bytes": peak.bytes,
        "mean_deviation": mean,
        "largest_deviation": largest,
    }


def multiply_rates(device: str) -> dict[str, float]:
    """Measure what this machine reaches at best, in operations per second: matrix products and a convolution.

    Returns:
        "fp32" and "bf16", of products of two matrices of 2048 x 2048; "fp32_convolution" and "bf16_convolution", of a
        3 x 3 convolution of 128 channels at 128 x 128.
    """
    rates: dict[str, float] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(2048, 2048, device=device, dtype=dtype) for _ in range(2))
        image = torch.randn(1, 128, 128, 128, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        kernel = torch.randn(128, 128, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            products = time_calls(partial(torch.mm, a, b), warmup=3, repeats=11, device=device)
            convolve = partial(functional.conv2d, image, kernel, padding=1)
            convolutions = time_calls(convolve, warmup=3, repeats=11, device=device)
        rates[name] = 2 * 2048**3 / products.median
        rates[f"{name}_convolution"] = 2 * 9 * 128**2 * 128**2 / convolutions.median
    return rates


def operations(network: nn.Module, size: int) -> int:
    """Count the floating-point operations of a network as it was trained, for one image; nothing is computed."""
    form = form_of(deepcopy(network).to("meta"))
    inputs = [x.to("meta") for x in form.examples(1, size, size)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        form.module(*inputs)
    return int(counter.get_total_flops())


def _row(side: Side) -> Row:
    name = "as trained" if side.engine is None else side.engine
    return {"engine": name, "precision": side.precision, "allocator": "kept" if side.kept else "plain"}


def _prepared(trained: Trained, side: Side, device: str) -> Callable[[Tensor], Tensor]:
    if side.engine is None:
        network = trained.network.to(device)

        def plain(image: Tensor) -> Tensor:
            with torch.inference_mode():
                return _image(network(image))

        return plain
    precision = torch.bfloat16 if side.precision == "bf16" else torch.float32
    run = ENGINES[side.engine](trained, precision=precision, device=device)
    return lambda image: _image(run(image))


def _image(result: Any) -> Tensor:  # noqa: ANN401 (an image or a prediction)
    found: Tensor = result if isinstance(result, Tensor) else result[0]
    return found


def _photographs(size: int, batch: int, channels: int) -> Tensor:
    photo = torch.from_numpy(data.astronaut())  # type: ignore[no-untyped-call]
    photo = photo.permute(2, 0, 1)[None].float() / 255
    square = functional.interpolate(photo, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    if channels == 1:
        square = square.mean(dim=1, keepdim=True)
    return torch.cat([square.roll(number * size // 8, dims=-1) for number in range(batch)])


def _deviation(output: Tensor, file: Path) -> tuple[float, float]:
    """Compare with what the first side gave, which keeps its own."""
    found = output.detach().float().cpu().numpy()
    if not file.exists():
        np.save(file, found)
    expected = np.load(file)
    gap = 255 * np.abs(found - expected)
    return float(gap.mean()), float(gap.max())
