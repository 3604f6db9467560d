"""The pocket loss network beside VGG: seconds, and networks trained with each, judged by the full VGG-19."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from impasto.build.task import require
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import CentreCrop
from impasto.evaluation.loss_networks import Row, judge, time_gradient
from impasto.files import write_text
from impasto.hardware import check_device, computes_bf16, describe_machine
from impasto.images import read_image, sheet, write_image
from impasto.listing import find_images
from impasto.losses import PerceptualLoss
from impasto.networks import Trained
from impasto.runs import load_run
from impasto.tables import digits, markdown, write_csv, write_json
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)

_SHOWN = 6  # photographs on the sheet


def evaluate_loss_networks(
    cfg: DictConfig,
    *,
    networks: DictConfig,
    runs: Mapping[str, str] | None,
    photographs: Sequence[str],
    count: int,
    size: int,
    batch: int,
    layers: Sequence[str],
    warmup: int,
    repeats: int,
) -> None:
    """Time each loss network, judge each run; write `loss_networks.json`, `.csv`, `.md`, and `sheet.png` of the runs.

    Args:
        cfg: the whole configuration; its features, loss and style judge.
        networks: loss networks by name; ratios are to the first.
        runs: of style networks, by name; ratios are to the first; None judges nothing.
        photographs: files, folders or patterns, which no run has seen.
        count: of them.
        size: their sides in pixels, and those of what is timed.
        batch: images at once in what is timed.
        layers: of the style term that is timed.
        warmup: calls before.
        repeats: calls that are timed.

    Raises:
        ValueError: a number out of range, or a run of another system.
    """
    require(cfg, style=None, features=None, loss=PerceptualLoss)
    check_device(cfg.device)
    for name, value in {"count": count, "size": size, "batch": batch, "repeats": repeats}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"expected evaluation.{name} to be a whole number of at least 1, got {value}")
    loaded = {name: load_run(Path(str(path)), system="stylizer") for name, path in (runs or {}).items()}
    style = instantiate(cfg.style).image(cfg.style_size)
    timed = partial(
        time_gradient, layers=list(layers), size=size, batch=batch, warmup=warmup, repeats=repeats, device=cfg.device
    )
    precisions = [torch.float32, *([torch.bfloat16] if computes_bf16(cfg.device) else [])]
    speed = [row for precision in precisions for row in _timed(networks, style, precision, timed)]
    judged: list[Row] = []
    if loaded:
        cut = CentreCrop(size=size)
        squares = [cut.cut(read_image(found.path)) for found in find_images(photographs)[:count]]
        loss = instantiate(cfg.loss)(instantiate(cfg.features)(style), style)
        judged = _judged(loaded, loss, squares)
        write_image(Path(cfg.folder) / "sheet.png", _sheet(loaded, squares[:_SHOWN]))
    _report(cfg, speed, judged, f"batch {batch} at {size} px", f"{count} photographs of {', '.join(photographs)}")


def _timed(networks: DictConfig, style: Tensor, precision: torch.dtype, timed: Callable[..., Row]) -> list[Row]:
    """Time each network; "ratio" is to the first."""
    rows: list[Row] = []
    for name, node in networks.items():
        log.info("%s, %s ...", name, str(precision).removeprefix("torch."))
        found = timed(instantiate(node)(style), precision=precision)
        rows.append({"loss_network": name, "precision": str(precision).removeprefix("torch."), **found})
        rows[-1]["ratio"] = rows[0]["seconds"] / found["seconds"]
    return rows


def _judged(loaded: Mapping[str, Trained], loss: PerceptualLoss, squares: Sequence[Tensor]) -> list[Row]:
    """Judge each run; "ratio" is to the first."""
    rows: list[Row] = []
    for name, trained in loaded.items():
        log.info("judging %s ...", name)
        about = {"run": name, "loss_network": trained.card.get("loss_network"), "steps": trained.card.get("steps")}
        rows.append({**about, **judge(trained.network, loss, squares)})
        rows[-1]["ratio"] = rows[-1]["loss"] / rows[0]["loss"]
    return rows


@torch.inference_mode()
def _sheet(loaded: Mapping[str, Trained], squares: Sequence[Tensor]) -> Tensor:
    networks = [trained.network for trained in loaded.values()]
    return sheet([[square, *(network(square[None])[0].clamp(0, 1) for network in networks)] for square in squares])


def _report(cfg: DictConfig, speed: list[Row], judged: list[Row], timed: str, judged_on: str) -> None:
    folder, machine = Path(cfg.folder), describe_machine()
    write_json(folder / "loss_networks.json", {"machine": machine, "speed": speed, "runs": judged})
    write_csv(folder / "loss_networks.csv", speed)
    parts = _told_speed(speed, machine["gpu"] if cfg.device != "cpu" else _cpu(machine), timed)
    if judged:
        parts += _told_judged(judged, f"Judged by {cfg.features.architecture}: {judged_on}.")
    text = "\n".join(parts) + "\n"
    write_text(folder / "loss_networks.md", text)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "evaluate/loss_networks", speed)
    log_table(logger, "evaluate/trained_with", judged, picture=folder / "sheet.png" if judged else None)
    log.info("%s", text)


def _cpu(machine: Mapping[str, Any]) -> str:
    return f"{machine['processor']}, {machine['threads']} threads"


def _told_speed(speed: list[Row], where: str, timed: str) -> list[str]:
    first = speed[0]["loss_network"]
    columns = ["loss network", "precision", "seconds of loss and gradient", "quartiles", f"times as fast as {first}"]
    lines = [
        [
            row["loss_network"],
            row["precision"],
            digits(row["seconds"]),
            f"{digits(row['low'])}-{digits(row['high'])}",
            digits(row["ratio"]),
        ]
        for row in speed
    ]
    return [markdown(columns, lines), f"{where}; {timed}, channels_last; medians."]


def _told_judged(judged: list[Row], by: str) -> list[str]:
    terms = ["content", "style", "tv", "loss", "ratio"]
    lines = [[row["run"], str(row["steps"]), *(digits(row[term], 4) for term in terms)] for row in judged]
    return ["", markdown(["trained with", "steps", *terms], lines), by]
