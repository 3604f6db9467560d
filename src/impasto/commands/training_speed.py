"""Steps per second of our training beside the usual one."""

import copy
import logging
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from impasto.build.task import require
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import Photographs
from impasto.evaluation.plots import plot_stacked
from impasto.evaluation.training_speed import PARTS, Row, Side, Training, in_own_process
from impasto.files import write_text
from impasto.hardware import check_device, choose_precision, describe_machine
from impasto.losses import PerceptualLoss
from impasto.memory import gibibytes
from impasto.tables import digits, markdown, write_csv, write_json
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)


def benchmark_training(cfg: DictConfig, *, data: DictConfig, rate: float, steps: int, timed: int) -> None:
    """Train from the same weights with the same batches, our way and the usual way, each in a process of its own.

    Writes `training.json`, `.csv`, `.md` and `.png`, and prints the table.

    Args:
        cfg: the whole configuration.
        data: photographs in files; their crops take the size of `sizes`, of which there is one.
        rate: Adam's learning rate.
        steps: whose losses are compared.
        timed: steps of the usual side with the plain allocator.

    Raises:
        ValueError: a number out of range, or data that are no files.
    """
    require(cfg, style=None, features=None, loss=PerceptualLoss)
    check_device(cfg.device)
    if len(cfg.sizes) != 1 or min(steps, timed) < 1 or steps <= cfg.warmup:
        raise ValueError(
            f"expected one size, timed of at least 1 and more steps than warmup, got {cfg.sizes}, {timed}, {steps}"
        )
    photographs = instantiate(data, train_transform={"size": cfg.sizes[0]})
    if not isinstance(photographs, Photographs):
        raise ValueError("expected benchmark.data to be photographs in files, such as data@benchmark.data=sample")
    torch.manual_seed(cfg.seed)
    style = instantiate(cfg.style).image(cfg.style_size)
    features = instantiate(cfg.features)(style)
    training = Training(instantiate(cfg.network), instantiate(cfg.loss)(features, style), photographs, rate, cfg.device)
    sides = [
        Side(False, torch.float32, False, cfg.warmup + timed, cfg.warmup),
        Side(False, torch.float32, True, steps, cfg.warmup),
        Side(True, choose_precision(cfg.precision, cfg.device), True, steps, cfg.warmup),
    ]
    rows = [
        in_own_process(copy.deepcopy(training), side)
        for side in track(sides, description="training", console=Console(stderr=True))
    ]
    _report(cfg, rows, f"{cfg.features.architecture}: {features.description}", photographs.batch_size)


def _report(cfg: DictConfig, rows: list[Row], loss_network: str, batch_size: int) -> None:
    folder, machine = Path(cfg.folder), describe_machine()
    plain, kept, ours = rows
    found = {
        "ratio_plain": ours["steps_per_second"] / plain["steps_per_second"],
        "ratio_kept": ours["steps_per_second"] / kept["steps_per_second"],
        "loss_ratio": ours["loss_at_the_end"] / kept["loss_at_the_end"],
    }
    about = {"machine": machine, "loss_network": loss_network, "batch_size": batch_size, "size": cfg.sizes[0]}
    write_json(folder / "training.json", {**about, **found, "rows": rows})
    shown = [{key: value for key, value in row.items() if key != "losses"} for row in rows]
    write_csv(folder / "training.csv", shown)
    columns = ["side", "precision", "allocator", "steps / s", "a step, s", *PARTS, "peak memory", "loss at the end"]
    lines = [
        [
            row["side"],
            row["precision"],
            row["allocator"],
            digits(row["steps_per_second"]),
            digits(row["seconds"]),
            *(digits(row[part]) for part in PARTS),
            gibibytes(row["peak_bytes"]),
            digits(row["loss_at_the_end"], 4) if row["steps"] == ours["steps"] else "-",
        ]
        for row in rows
    ]
    where = machine["gpu"] if cfg.device != "cpu" else f"{machine['processor']}, {machine['threads']} threads"
    text = "\n".join(
        [
            markdown(columns, lines),
            f"Ours: {found['ratio_plain']:.2f} times the steps per second of the usual side with the plain allocator, "
            f"{found['ratio_kept']:.2f} times with ours; loss after {ours['steps']} steps {found['loss_ratio']:.4f} "
            "of the usual side's (mean of the last 20).",
            f"{where}; torch {torch.__version__}; batch {batch_size} at {cfg.sizes[0]} px; loss network "
            f"{loss_network}. Median seconds; backward passes count for what they pass through.",
        ]
    )
    write_text(folder / "training.md", text + "\n")
    names = [f"{row['side']}, {row['allocator']} allocator" for row in rows]
    plot_stacked(
        folder / "training.png", names, {part: [row[part] for row in rows] for part in PARTS}, label="seconds a step"
    )
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "benchmark/training", shown, picture=folder / "training.png")
    log.info("%s", text)
