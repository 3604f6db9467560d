"""Every engine and precision, timed on this machine."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from impasto.commands.wandb_logger import wandb_logger
from impasto.engines import ENGINES
from impasto.evaluation.engines import Plan, Row, Side, in_own_process, multiply_rates, operations
from impasto.evaluation.plots import plot_bars
from impasto.files import write_text
from impasto.hardware import check_device, computes_bf16, describe_machine
from impasto.memory import gibibytes
from impasto.runs import load_named
from impasto.suggest import did_you_mean
from impasto.tables import digits, markdown, write_csv, write_json
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)


def benchmark_engines(
    cfg: DictConfig, *, run: str, batches: Sequence[int], engines: Sequence[str], most_seconds: float
) -> None:
    """Measure every engine and precision; write `engines.json`, `.csv`, `.md` and `.png`, and print the table.

    Args:
        cfg: the whole configuration.
        run: a shipped network, a run folder or a network.safetensors.
        batches: images at once.
        engines: names.
        most_seconds: of a cell's repeats.

    Raises:
        ValueError: an unknown engine, or a number that makes no sense.
    """
    check_device(cfg.device)
    for name in engines:
        if name not in ENGINES:
            raise ValueError(f"unknown engine '{name}' in benchmark.engines{did_you_mean(name, ENGINES)}")
    if not cfg.sizes or min(cfg.sizes) < 1 or not batches or min(batches) < 1 or cfg.repeats < 1:
        raise ValueError(
            f"expected sizes, batches and repeats of at least 1, got {cfg.sizes}, {batches}, {cfg.repeats}"
        )
    trained = load_named(str(run))
    folder, rows = Path(cfg.folder), list[Row]()
    about: dict[str, Any] = {
        "machine": describe_machine(),
        "device": cfg.device,
        "network": str(run),
        "operations": {size: operations(trained.network, size) for size in cfg.sizes},
        "rates": multiply_rates(cfg.device),
    }
    with tempfile.TemporaryDirectory(prefix="impasto_") as outputs:
        plan = Plan(list(cfg.sizes), list(batches), cfg.warmup, cfg.repeats, most_seconds, cfg.device, Path(outputs))
        sides = _sides(engines, cfg.device)
        for side in track(sides, description="engines", console=Console(stderr=True)):
            rows += in_own_process(trained, side, plan)
            _add_ratios(rows, about)
            write_json(folder / "engines.json", {**about, "rows": rows})
    _report(cfg, folder, about, rows)


def _sides(engines: Sequence[str], device: str) -> list[Side]:
    """PyTorch as users run it comes first: the others are compared with it."""
    precisions = ["fp32", "bf16"] if computes_bf16(device) else ["fp32"]
    sides = [Side(None, "fp32", kept) for kept in (False, True)]
    return sides + [
        Side(name, precision, True)
        for name in engines
        for precision in precisions
        if (name, precision) != ("onnxruntime", "bf16")  # it has no kernels for that
    ]


def _add_ratios(rows: list[Row], about: dict[str, Any]) -> None:
    """Times as fast as eager float32 with either allocator, and the share of the measured rate of products."""
    plain = {(r["allocator"], r["size"], r["batch"]): r["seconds"] for r in rows if r["engine"] == "as trained"}
    for row in rows:
        if "error" in row:
            continue
        cell = (row["size"], row["batch"])
        for allocator in ("plain", "kept"):
            base = plain.get((allocator, *cell))
            row[f"ratio_{allocator}"] = None if base is None else base / row["seconds"]
        rate = about["operations"][row["size"]] * row["batch"] / row["seconds"]
        row["share"] = rate / about["rates"][row["precision"]]
        row["share_convolution"] = rate / about["rates"][f"{row['precision']}_convolution"]


def _report(cfg: DictConfig, folder: Path, about: dict[str, Any], rows: list[Row]) -> None:
    measured = [row for row in rows if "error" not in row]
    write_csv(folder / "engines.csv", measured)
    text = _markdown(about, rows)
    write_text(folder / "engines.md", text)
    first = [row for row in measured if row["batch"] == min(r["batch"] for r in measured)]
    series: dict[str, list[float]] = {}
    for row in first:
        name = f"{row['engine']} {row['precision']}{'' if row['allocator'] == 'kept' else ', plain allocator'}"
        series.setdefault(name, []).append(row["images_per_second"])
    groups = [f"{size} x {size}" for size in sorted(cfg.sizes)]
    whole = {name: values for name, values in series.items() if len(values) == len(groups)}
    plot_bars(folder / "engines.png", groups, whole, label="images per second")
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "benchmark/engines", measured, picture=folder / "engines.png")
    log.info("%s", text)


def _markdown(about: dict[str, Any], rows: list[Row]) -> str:
    columns = ["engine", "precision", "allocator", "size", "batch", "seconds", "images / s", "x plain", "x kept"]
    columns += ["deviation: mean", "largest", "share of products", "of convolution", "peak memory", "first call, s"]
    lines = [
        [
            row["engine"],
            row["precision"],
            row["allocator"],
            str(row["size"]),
            str(row["batch"]),
            f"{digits(row['seconds'])} ({digits(row['low'])}-{digits(row['high'])})",
            digits(row["images_per_second"]),
            digits(row["ratio_plain"]),
            digits(row["ratio_kept"]),
            f"{row['mean_deviation']:.2f}",
            f"{row['largest_deviation']:.1f}",
            f"{100 * row['share']:.0f} %",
            f"{100 * row['share_convolution']:.0f} %",
            gibibytes(row["peak_bytes"]),
            digits(row["first_seconds"]),
        ]
        for row in rows
        if "error" not in row
    ]
    machine, rates = about["machine"], about["rates"]
    where = machine["gpu"] if about["device"] != "cpu" else f"{machine['processor']}, {machine['threads']} threads"
    notes = [
        f"{where}; torch {torch.__version__}; network {about['network']}. Medians, quartiles in brackets; "
        "deviations in grey levels from the first row's side.",
        "Measured rates, Gop/s: "
        + ", ".join(f"{name.replace('_', ' ')} {rate / 1e9:.0f}" for name, rate in rates.items())
        + "; operations are the trained network's, also where a rewritten one needs fewer.",
    ]
    notes += [f"{row['engine']} {row['precision']}: {row['error']}" for row in rows if "error" in row]
    return "\n".join([markdown(columns, lines), *notes]) + "\n"
