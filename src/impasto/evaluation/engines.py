"""Every engine and precision, each in a process of its own, beside PyTorch as users run it."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from impasto.allocator import keep_freed_memory
from impasto.data import sample_paths
from impasto.engines import ENGINES, form_of
from impasto.evaluation.comparison import Cells, Comparison, Count, Counts, Figures, Natural, Row, Table, fingerprint
from impasto.evaluation.plots import plot_bars
from impasto.evaluation.timing import spread, time_calls
from impasto.hardware import computes_bf16, peak_memory, synchronise
from impasto.images import read_image
from impasto.memory import gibibytes
from impasto.networks import Trained
from impasto.runs import load_named
from impasto.suggest import did_you_mean
from impasto.tables import digits

_FEWEST = 3  # repeats
_RATES = "rates"  # the cell of what the machine reaches at best


class Side(NamedTuple):
    """An engine (None: PyTorch, the network as trained), its precision, whether the allocator keeps freed memory."""

    engine: str | None
    precision: str
    kept: bool

    def __str__(self) -> str:
        return f"{self.engine or 'as trained'} {self.precision}{'' if self.kept else ', plain allocator'}"


class Engines(Comparison):
    """PyTorch as users run it, first with either allocator, then each engine in each precision that it has."""

    name: ClassVar[str] = "engines"
    run: str
    engines: list[str]
    sizes: Counts
    batches: Counts
    warmup: Natural
    repeats: Count
    most_seconds: float = Field(ge=0)

    @cached_property
    def _trained(self) -> Trained:
        return load_named(self.run)

    def about(self) -> dict[str, Any]:
        """Say how much work the network is; refuse an unknown engine."""
        for name in self.engines:
            if name not in ENGINES:
                raise ValueError(f"unknown engine '{name}' in evaluation.engines{did_you_mean(name, ENGINES)}")
        work = {str(size): operations(self._trained.network, size) for size in self.sizes}
        return {"operations": work, "network": fingerprint(self._trained.network)}

    def cells(self) -> Cells:
        """Measure the machine, then side by side; the others are compared with PyTorch as users run it, the first."""
        precisions = ["fp32", "bf16"] if computes_bf16(self.device) else ["fp32"]
        sides = [Side(None, "fp32", False), Side(None, "fp32", True)]
        sides += [Side(name, precision, True) for name in self.engines for precision in precisions]
        sides = [side for side in sides if side[:2] != ("onnxruntime", "bf16")]  # it has no kernels for that
        cells: dict[str, Callable[[], Figures]] = {_RATES: partial(multiply_rates, self.device)}
        return cells | {str(side): partial(in_own_process, self, side) for side in sides}

    def measure(self, side: Side) -> Figures:
        """Time a side at every size and batch; sizes grow, so that each peak is a cell's own.

        Returns:
            "rows" of plain numbers: seconds (median and quartiles), images per second, seconds of the first call, bytes
            of the process at its peak, mean and largest deviation from eager float32 in grey levels.
        """
        if side.kept:
            keep_freed_memory()
        run, expected = (self._prepared(each) for each in (side, Side(None, "fp32", True)))
        about = {"engine": side.engine or "as trained", "precision": side.precision}
        about["allocator"] = "kept" if side.kept else "plain"
        rows = []
        for size in sorted(self.sizes):
            for batch in sorted(self.batches):
                image = _photographs(size, batch, form_of(self._trained.network).channels).to(self.device)
                row, output = self._timed(partial(run, image))
                gap = 255 * (_image(output) - _image(expected(image))).abs()
                row |= {"mean_deviation": float(gap.mean()), "largest_deviation": float(gap.max())}
                rows.append({**about, "size": size, "batch": batch, "images_per_second": batch / row["seconds"], **row})
        return {"rows": rows}

    def _prepared(self, side: Side) -> Callable[[Tensor], Any]:
        if side.engine is None:
            run: Callable[[Tensor], Any] = torch.inference_mode()(self._trained.network.to(self.device).forward)
            return run
        precision = torch.bfloat16 if side.precision == "bf16" else torch.float32
        return ENGINES[side.engine](self._trained, precision=precision, device=self.device)

    def _timed(self, call: Callable[[], Any]) -> tuple[Row, Any]:
        with peak_memory(self.device) as peak:
            begin = time.perf_counter()
            output = call()
            synchronise(self.device)
            first = time.perf_counter() - begin
            once = time_calls(call, warmup=0, repeats=1, device=self.device).median
            repeats = min(self.repeats, max(_FEWEST, int(self.most_seconds / max(once, 1e-6))))
            timing = time_calls(call, warmup=self.warmup, repeats=repeats, device=self.device)
        return {**timing.figures(), "first_seconds": first, "peak_bytes": peak.bytes}, output

    def _rows(self, figures: Mapping[str, Figures]) -> list[Row]:
        """Rows with times as fast as PyTorch with either allocator, and the share of the machine's measured rates."""
        rows = [dict(row) for name, found in figures.items() if name != _RATES for row in found.get("rows", [])]
        plain = {(r["allocator"], r["size"], r["batch"]): r["seconds"] for r in rows if r["engine"] == "as trained"}
        work, rates = self.about()["operations"], figures[_RATES]
        for row in rows:
            for allocator in ("plain", "kept"):
                base = plain.get((allocator, row["size"], row["batch"]))
                row[f"ratio_{allocator}"] = None if base is None else base / row["seconds"]
            rate = work[str(row["size"])] * row["batch"] / row["seconds"]
            row["share"] = rate / rates[row["precision"]]
            row["share_convolution"] = rate / rates[f"{row['precision']}_convolution"]
        return rows

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row an engine, precision, size and batch; what could not be measured is a note."""
        columns = ["engine", "precision", "allocator", "size", "batch", "seconds", "images / s", "x plain", "x kept"]
        columns += ["deviation: mean", "largest", "share of products", "of convolution", "peak memory", "first call, s"]
        rows = self._rows(figures)
        lines = [
            [
                *(str(row[key]) for key in ("engine", "precision", "allocator", "size", "batch")),
                spread(row),
                *(digits(row[key]) for key in ("images_per_second", "ratio_plain", "ratio_kept")),
                *(f"{row['mean_deviation']:.2f}", f"{row['largest_deviation']:.1f}"),
                *(f"{100 * row[key]:.0f} %" for key in ("share", "share_convolution")),
                *(gibibytes(row["peak_bytes"]), digits(row["first_seconds"])),
            ]
            for row in rows
        ]
        rates = ", ".join(f"{name.replace('_', ' ')} {rate / 1e9:.0f}" for name, rate in figures[_RATES].items())
        notes = [
            f"Network {self.run}. Medians, quartiles in brackets; deviations in grey levels from the first row's side.",
            f"Measured rates, Gop/s: {rates}; operations are the trained network's, also where a rewritten one needs "
            "fewer.",
        ]
        notes += [f"{name}: {found['error']}" for name, found in figures.items() if "error" in found]
        return Table(rows, self.words(columns, lines, notes))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Bars of images per second at the smallest batch, of the sides that were measured."""
        series = {
            name: [row["images_per_second"] for row in found["rows"] if row["batch"] == min(self.batches)]
            for name, found in figures.items()
            if "rows" in found
        }
        plot_bars(path, [f"{size} x {size}" for size in sorted(self.sizes)], series, label="images per second")
        return [path]


def _image(output: Any) -> Tensor:  # noqa: ANN401 (an image, or a colorizer's prediction)
    return (output if isinstance(output, Tensor) else output[0]).float()


def in_own_process(comparison: Engines, side: Side) -> Figures:
    """Measure a side in a fresh process, whose allocator and compiled code no other has touched; or say its "error"."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(comparison.measure, side).result()
        except BrokenProcessPool:
            return {"error": "its process was killed, perhaps for want of memory"}
        except (ImportError, ValueError) as error:
            return {"error": " ".join(str(error).split())}


def _photographs(size: int, batch: int, channels: int) -> Tensor:
    photo = read_image(Path(sample_paths(["astronaut.png"])[0]))[None]
    square = functional.interpolate(photo, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    if channels == 1:
        square = square.mean(dim=1, keepdim=True)
    return torch.cat([square.roll(number * size // 8, dims=-1) for number in range(batch)])


def multiply_rates(device: str) -> dict[str, float]:
    """Measure what this machine reaches at best, in operations per second, in fp32 and bf16.

    They are a product of two matrices of 2048 x 2048, and a 3 x 3 convolution of 128 channels at 128 x 128.
    """
    rates: dict[str, float] = {}
    timed = partial(time_calls, warmup=3, repeats=11, device=device)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(2048, 2048, device=device, dtype=dtype) for _ in range(2))
        image = torch.randn(1, 128, 128, 128, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        kernel = torch.randn(128, 128, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            rates[name] = 2 * 2048**3 / timed(partial(torch.mm, a, b)).median
            convolve = partial(functional.conv2d, image, kernel, padding=1)
            rates[f"{name}_convolution"] = 2 * 9 * 128**2 * 128**2 / timed(convolve).median
    return rates


def operations(network: nn.Module, size: int) -> int:
    """Count the floating-point operations of a network as it was trained, for one image; nothing is computed."""
    form = form_of(deepcopy(network).to("meta"))
    inputs = [x.to("meta") for x in form.examples(1, size, size)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        form.module(*inputs)
    return int(counter.get_total_flops())
