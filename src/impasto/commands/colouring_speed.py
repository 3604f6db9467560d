"""Seconds of colouring a photograph, measured on this machine, beside those that the paper reports."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.color import colour_code
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import CentreCrop, sample_paths
from impasto.evaluation.colouring_speed import Row, measure_colouring
from impasto.files import write_text
from impasto.hardware import check_device, describe_machine
from impasto.images import read_image
from impasto.memory import gibibytes
from impasto.networks import fold_batch_norm
from impasto.runs import load_named
from impasto.runs import shipped as names_of_shipped
from impasto.tables import digits, markdown, write_csv, write_json
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)


def evaluate_colouring_speed(
    cfg: DictConfig,
    *,
    sizes: Sequence[Sequence[int]],
    network: DictConfig,
    shipped: str,
    paper: Mapping[int, Mapping[str, float]],
    label: str,
    warmup: int,
    repeats: int,
) -> None:
    """Time the paper's network on whole photographs and the shipped one as `impasto apply` uses it.

    Writes `speed.json`, `.csv` and `.md`, and prints the table.

    Args:
        cfg: the whole configuration.
        sizes: of photographs, [width, height].
        network: the paper's network; its weights are random, which its speed does not depend on. Batch norm is folded.
        shipped: a shipped colorizer, a run folder or a network file.
        paper: by size of a square, the reported seconds: "cpu" and "gpu".
        label: of the reported seconds.
        warmup: calls before.
        repeats: calls that are timed.

    Raises:
        ValueError: a size below 1, or a device that is not there.
    """
    check_device(cfg.device)
    _check(sizes)
    trained = load_named(str(shipped), system="colorizer")
    name = "shipped" if str(shipped) in names_of_shipped("colorizer") else "run"
    whole = fold_batch_norm(instantiate(network)(classes=205, channels=2)).to(cfg.device)
    code = colour_code(trained.card["color_space"])
    square = CentreCrop(size=max(max(size) for size in sizes)).cut(read_image(Path(sample_paths(["astronaut.png"])[0])))
    rows: list[Row] = []
    for width, height in sizes:
        log.info("%d x %d ...", width, height)
        photo = torch.nn.functional.interpolate(square[None], size=(height, width), mode="bilinear").to(cfg.device)
        for method, module, size in (
            ("the paper's network, whole size", whole, None),
            (f"{name}, {trained.card['size']} px", trained.network.to(cfg.device), trained.card["size"]),
        ):
            found = measure_colouring(photo, module, code=code, size=size, warmup=warmup, repeats=repeats)
            told = paper.get(height, {}) if height == width else {}
            rows.append({"method": method, **found, "paper_cpu": told.get("cpu"), "paper_gpu": told.get("gpu")})
    _report(cfg, rows, label)


def _check(sizes: Sequence[Sequence[int]]) -> None:
    whole = not isinstance(sizes, int | str) and all(
        isinstance(size, Sequence) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
        for size in sizes
    )
    if not whole or not sizes:
        raise ValueError(f"expected evaluation.sizes to be a list of [width, height], got {sizes}")


def _report(cfg: DictConfig, rows: list[Row], label: str) -> None:
    folder, machine = Path(cfg.folder), describe_machine()
    told: Any = OmegaConf.to_container(cfg.evaluation, resolve=True)
    write_json(folder / "speed.json", {"machine": machine, "evaluation": told, "rows": rows})
    write_csv(folder / "speed.csv", rows)
    lines = [
        [
            f"{row['width']} x {row['height']}",
            row["method"],
            f"{digits(row['seconds'])} ({digits(row['low'])}-{digits(row['high'])})",
            gibibytes(row["peak_bytes"]),
            digits(row["paper_cpu"]),
            digits(row["paper_gpu"]),
        ]
        for row in rows
    ]
    columns = ["size", "method", "seconds", "peak memory", f"{label}, CPU", f"{label}, GPU"]
    where = machine["gpu"] if cfg.device != "cpu" else f"{machine['processor']}, {machine['threads']} threads"
    text = f"{markdown(columns, lines)}\n{where}; float32; medians, quartiles in brackets; memory of the process.\n"
    write_text(folder / "speed.md", text)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "evaluate/colouring_speed", rows)
    log.info("%s", text)
