"""Seconds of Gatys' optimisation beside those of one forward pass, on this machine and in Johnson 2016."""

import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from impasto.build.task import require
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import CentreCrop, sample_paths
from impasto.evaluation.plots import plot_bars
from impasto.evaluation.speed import Row, measure_speed
from impasto.files import write_text
from impasto.hardware import check_device, choose_precision, describe_machine
from impasto.images import read_image
from impasto.losses import PerceptualLoss
from impasto.memory import gibibytes
from impasto.tables import digits, markdown, write_csv, write_json
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)


def benchmark_gatys_speed(cfg: DictConfig) -> None:
    """Measure every size; write `benchmark.json`, `.csv`, `.md` and `.png`, and print the table.

    Raises:
        ValueError: a size or number that makes no sense, or a device that is not there.
    """
    require(cfg, style=None, features=None, loss=PerceptualLoss)
    check_device(cfg.device)
    if not cfg.sizes or min(cfg.sizes) < 1 or not cfg.iterations or min(cfg.iterations) < 1:
        raise ValueError(f"expected sizes and iterations of at least 1, got {cfg.sizes} and {cfg.iterations}")
    if cfg.network.get("_partial_", False):
        raise ValueError(f"expected a style network, such as network=stylizer; got {cfg.network._target_}")
    folder = Path(cfg.folder)
    told: Any = OmegaConf.to_container(cfg, resolve=True)
    precision = choose_precision(cfg.precision, cfg.device)
    style = instantiate(cfg.style).image(cfg.style_size)
    features = instantiate(cfg.features)(style)
    loss: PerceptualLoss = instantiate(cfg.loss)(features, style).to(cfg.device)
    network: nn.Module = instantiate(cfg.network).eval().to(cfg.device)
    about = {
        "machine": describe_machine(),
        "precision": str(precision).removeprefix("torch."),
        "memory_format": "channels_last, both sides",
        "loss_network": f"{cfg.features.architecture}: {features.description}",
        "network": told["network"],
        "device": cfg.device,
    }
    rows: list[Row] = []
    photo = read_image(Path(sample_paths(["astronaut.png"])[0]))
    for size in cfg.sizes:
        log.info("%d x %d ...", size, size)
        square = CentreCrop(size=size).cut(photo)[None].to(cfg.device)
        rows.append(
            measure_speed(
                square,
                loss=loss,
                network=network,
                optimizer=instantiate(cfg.gatys_optimizer),
                iterations=cfg.iterations,
                whole=cfg.whole.iterations if cfg.whole is not None and cfg.whole.size == size else None,
                precision=precision,
                warmup=cfg.warmup,
                repeats=cfg.repeats,
            )
        )
        write_json(folder / "benchmark.json", {**about, "rows": rows, "paper": told["paper"]})
    _report(cfg, folder, about, rows)


def _report(cfg: DictConfig, folder: Path, about: dict[str, Any], rows: list[Row]) -> None:
    write_csv(folder / "benchmark.csv", rows)
    text = _markdown(cfg, about, rows)
    write_text(folder / "benchmark.md", text)
    most = max(cfg.iterations)
    series = {f"optimisation, {most} iterations": [row[f"gatys_{most}_seconds"] for row in rows]}
    series |= {"one forward pass": [row["network_seconds"] for row in rows]}
    paper = {entry.size: entry for entry in cfg.paper}
    if all(row["height"] in paper for row in rows) and all(most in entry.gatys for entry in cfg.paper):
        label = next(iter(cfg.paper)).label
        series |= {f"optimisation, {label}": [paper[row["height"]].gatys[most] for row in rows]}
        series |= {f"forward pass, {label}": [paper[row["height"]].network for row in rows]}
    plot_bars(folder / "benchmark.png", [f"{row['width']} x {row['height']}" for row in rows], series, label="seconds")
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    shown = [{"size": str(row["width"]), **{k: v for k, v in row.items() if "whole" not in k}} for row in rows]
    log_table(logger, "benchmark/speed", shown, bars=("size", f"speedup_{most}"), picture=folder / "benchmark.png")
    log.info("%s", text)


def _markdown(cfg: DictConfig, about: dict[str, Any], rows: list[Row]) -> str:
    columns = ["seconds", *(f"{n} iterations" for n in cfg.iterations), "one pass"]
    columns += [*(f"ratio {n}" for n in cfg.iterations), "iteration / pass", "iteration / bare VGG", "peak memory"]
    lines = []
    paper = {entry.size: entry for entry in cfg.paper}
    for row in rows:
        times = [f"{digits(row[f'gatys_{n}_seconds'])} *" for n in cfg.iterations]
        ratios = [f"{row[f'speedup_{n}']:.0f}" for n in cfg.iterations]
        spread = f"{digits(row['network_seconds'])} ({digits(row['network_low'])}-{digits(row['network_high'])})"
        others = [digits(row["iteration_per_network"]), digits(row["iteration_per_vgg"])]
        memory = f"{gibibytes(row['gatys_peak_bytes'])}; {gibibytes(row['network_peak_bytes'])}"
        size = f"{row['width']} x {row['height']}"
        lines.append([f"**{size}, here**", *times, spread, *ratios, *others, memory])
        if (entry := paper.get(row["height"])) is not None:
            seconds = [float(entry.gatys[n]) if n in entry.gatys else None for n in cfg.iterations]
            per = [None if s is None else s / entry.network for s in seconds]
            iteration = next((entry.gatys[n] / n / entry.network for n in entry.gatys), None)
            told = [*map(digits, seconds), digits(entry.network), *(f"{p:.0f}" if p else "-" for p in per)]
            lines.append([f"{size}, {entry.label}", *told, digits(iteration), "-", "-"])
    return "\n".join([markdown(columns, lines), *_notes(about, rows)]) + "\n"


def _notes(about: dict[str, Any], rows: list[Row]) -> list[str]:
    machine = about["machine"]
    where = machine["gpu"] if about["device"] != "cpu" else f"{machine['processor']}, {machine['threads']} threads"
    notes = [
        f"{where}; {about['precision']}, {about['memory_format']}; torch {machine['torch']}; "
        f"loss network {about['loss_network']}. Medians; quartiles in brackets. "
        "Memory of the process: optimisation; network.",
        "\\* extrapolated from the median iteration:",
    ]
    for row in rows:
        size, iteration = f"{row['width']} x {row['height']}", digits(row["iteration_seconds"])
        spread = f"{digits(row['iteration_low'])}-{digits(row['iteration_high'])}"
        notes.append(f"- {size}: {iteration} s an iteration ({spread}); a bare VGG pass {digits(row['vgg_seconds'])} s")
        if "whole_seconds" in row:
            ratio = f"{row['whole_per_extrapolated']:.2f}"
            count, seconds = row["whole_iterations"], digits(row["whole_seconds"])
            notes[-1] += f"; {count} iterations measured whole: {seconds} s, {ratio} of the extrapolation"
    return notes
