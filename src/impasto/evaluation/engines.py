"""Every engine and precision, each in a process of its own, beside PyTorch as users run it."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from impasto.data import sample_paths
from impasto.engines import ENGINES, form_of
from impasto.evaluation.comparison import Cells, Comparison, Count, Counts, Figures, Natural, Row, Table, fingerprint
from impasto.evaluation.plots import plot_bars
from impasto.evaluation.speed import spread, time_calls
from impasto.hardware import computes_bf16, keep_freed_memory
from impasto.images import read_image, resize
from impasto.memory import gibibytes
from impasto.networks import Trained
from impasto.suggest import did_you_mean
from impasto.tables import digits
from impasto.trained import load_named

_FEWEST = 3  # repeats


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
        """Say which network; refuse an unknown engine."""
        for name in self.engines:
            if name not in ENGINES:
                raise ValueError(f"unknown engine '{name}' in evaluation.engines{did_you_mean(name, ENGINES)}")
        return {"network": fingerprint(self._trained.network)}

    def cells(self) -> Cells:
        """Measure side by side; the others are compared with PyTorch as users run it, the first."""
        precisions = ["fp32", "bf16"] if computes_bf16(self.device) else ["fp32"]
        sides = [Side(None, "fp32", False), Side(None, "fp32", True)]
        sides += [Side(name, precision, True) for name in self.engines for precision in precisions]
        sides = [side for side in sides if side[:2] != ("onnxruntime", "bf16")]  # it has no kernels for that
        return {str(side): partial(in_own_process, self, side) for side in sides}

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
        for size, batch in product(sorted(self.sizes), sorted(self.batches)):
            image = _photographs(size, batch, form_of(self._trained.network).channels).to(self.device)
            row, (ours, theirs) = self._timed(partial(run, image)), (each(image) for each in (run, expected))
            gap = 255 * (_image(ours) - _image(theirs)).abs()
            row |= {"mean_deviation": float(gap.mean()), "largest_deviation": float(gap.max())}
            rows.append({**about, "size": size, "batch": batch, "images_per_second": batch / row["seconds"], **row})
        return {"rows": rows}

    def _prepared(self, side: Side) -> Callable[[Tensor], Any]:
        if side.engine is None:
            return torch.inference_mode()(self._trained.network.to(self.device).forward)
        precision = torch.bfloat16 if side.precision == "bf16" else torch.float32
        return ENGINES[side.engine](self._trained, precision=precision, device=self.device)

    def _timed(self, call: Callable[[], Any]) -> Row:
        first = time_calls(call, warmup=0, repeats=1, device=self.device)
        once = time_calls(call, warmup=0, repeats=1, device=self.device)["seconds"]
        repeats = min(self.repeats, max(_FEWEST, int(self.most_seconds / max(once, 1e-6))))
        row = time_calls(call, warmup=self.warmup, repeats=repeats, device=self.device)
        peak = max(first["peak_bytes"], row.pop("peak_bytes"))
        return {**row, "first_seconds": first["seconds"], "peak_bytes": peak}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row an engine, precision, size and batch, with how many times as fast as PyTorch; errors are notes."""
        columns = ["engine", "precision", "allocator", "size", "batch", "seconds", "images / s", "x plain", "x kept"]
        columns += ["deviation: mean", "largest", "peak memory", "first call, s"]
        rows = [dict(row) for found in figures.values() for row in found.get("rows", [])]
        plain = {(r["allocator"], r["size"], r["batch"]): r["seconds"] for r in rows if r["engine"] == "as trained"}
        for row in rows:
            for allocator in ("plain", "kept"):
                base = plain.get((allocator, row["size"], row["batch"]))
                row[f"ratio_{allocator}"] = None if base is None else base / row["seconds"]
        lines = [
            [
                *(str(row[key]) for key in ("engine", "precision", "allocator", "size", "batch")),
                spread(row),
                *(digits(row[key]) for key in ("images_per_second", "ratio_plain", "ratio_kept")),
                *(f"{row['mean_deviation']:.2f}", f"{row['largest_deviation']:.1f}"),
                *(gibibytes(row["peak_bytes"]), digits(row["first_seconds"])),
            ]
            for row in rows
        ]
        about = "Medians, quartiles in brackets; deviations in grey levels from the first row's side."
        notes = [f"Network {self.run}. {about}"]
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
    square = resize(read_image(Path(sample_paths(["astronaut.png"])[0])), (size, size))[None]
    if channels == 1:
        square = square.mean(dim=1, keepdim=True)
    return torch.cat([square.roll(number * size // 8, dims=-1) for number in range(batch)])
