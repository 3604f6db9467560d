"""The evaluation of the objective (Johnson's Figure 5): curves over photographs, from the configuration to a report."""

import json
import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from impasto.build.task import require
from impasto.commands.objective_report import Report
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import CentreCrop
from impasto.evaluation.objective import objective
from impasto.features import LossNetwork
from impasto.hardware import check_device, choose_precision, describe_machine
from impasto.images import read_image, resize_longer_side
from impasto.launch.resume import begin_again
from impasto.listing import find_images
from impasto.losses import PerceptualLoss
from impasto.runs import load_named
from impasto.tables import write_json
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 60.0


def evaluate_objective(
    cfg: DictConfig,
    *,
    photographs: Sequence[str],
    sizes: Sequence[int],
    counts: Sequence[int],
    steps: Sequence[int],
    square: bool,
    marks: Sequence[int],
    network: str | None,
    curves: DictConfig,
    reference: str | None,
) -> None:
    """Draw every curve over every photograph at every size; write `objective.json`, `.csv`, `.md` and `.png`.

    What is finished is saved at once; a resumed run goes on behind it.

    Args:
        cfg: the whole configuration.
        photographs: files, folders or patterns.
        sizes: pixels.
        counts: photographs of each size.
        steps: closure calls at each size.
        square: crop to a square of that size; otherwise it bounds the longer side.
        marks: calls at which the table shows the loss.
        network: a shipped style, a run folder or a file; None for none.
        curves: by name, how to optimise.
        reference: the curve whose loss at the second mark the others' seconds are compared at.

    Raises:
        ValueError: lists of different lengths, no curves, a reference that is none of them, or two files of one name.
        Interrupted: stopped by Ctrl-C; says how to go on.
    """
    if not len(sizes) == len(counts) == len(steps) > 0 or min(*sizes, *counts, *steps) < 1:
        raise ValueError(
            "expected evaluation.sizes, counts and steps to be lists of the same length, all numbers at least 1; "
            f"got {list(sizes)}, {list(counts)} and {list(steps)}"
        )
    if not curves or (reference is not None and reference not in curves):
        raise ValueError(f"expected evaluation.curves, reference={reference} among them; got {list(curves) or 'none'}")
    paths = [found.path for found in find_images(photographs)]
    if len({path.name for path in paths}) < len(paths):  # results are kept by name
        raise ValueError("expected evaluation.photographs of different file names, got the same name twice")
    folder = Path(cfg.folder)
    measurer = _measurer(cfg, curves, network, folder / "objective.json")
    begin_again(cfg)
    log.info("run folder: %s", folder)
    jobs = [
        (size, path, count)
        for size, number, count in zip(sizes, counts, steps, strict=True)
        for path in paths[:: max(1, len(paths) // number)][:number]
    ]
    try:
        with Bar(total=len(jobs) * len(curves), done=0, log_every_seconds=_LOG_EVERY_SECONDS) as bar:
            for index, (size, path, count) in enumerate(jobs):
                bar.update(index * len(curves), f"{size} px, {path.name}")
                measurer.measure(path, size, count, square=square)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"stopped; what is finished is saved; go on with: impasto evaluate resume={shlex.quote(str(folder))}"
        ) from error
    report = Report(measurer.results, marks=list(marks), reference=reference)
    report.write(folder)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "evaluate/objective", report.rows(), picture=folder / "objective.png")
    log.info("%s", report.text())


@dataclass
class _Measurer:
    """What every photograph shares, and what has been measured so far."""

    cfg: DictConfig
    curves: DictConfig
    features: LossNetwork
    network: nn.Module | None
    precision: torch.dtype
    path: Path
    results: dict[str, Any]

    def measure(self, path: Path, size: int, steps: int, *, square: bool) -> None:
        """Measure one photograph at one size, unless that is done."""
        done = self.results["measured"].setdefault(str(size), {}).setdefault(path.name, {"curves": {}, "lines": {}})
        if len(done["curves"]) == len(self.curves) and len(done["lines"]) == 1 + (self.network is not None):
            done["curves"] = self._ordered(done["curves"])
            return
        photo = read_image(path)
        photo = CentreCrop(size=size).cut(photo) if square else resize_longer_side(photo, size)
        photo = photo[None].to(self.cfg.device)
        style = instantiate(self.cfg.style).image(self.cfg.style_size or max(photo.shape[-2:])).to(photo.device)
        loss: PerceptualLoss = instantiate(self.cfg.loss)(self.features, style).to(photo.device)
        done["lines"] = self._lines(photo, loss)
        for name, curve in self.curves.items():
            if name not in done["curves"]:
                wanted = OmegaConf.to_container(curve, resolve=True)
                assert isinstance(wanted, dict)
                precision = choose_precision(wanted.pop("precision", self.cfg.precision), self.cfg.device)
                values, seconds = instantiate(wanted, precision=precision)(photo, style, loss, steps)
                done["curves"][str(name)] = {"values": values, "seconds": seconds}
                write_json(self.path, self.results)
        done["curves"] = self._ordered(done["curves"])

    def _ordered(self, curves: dict[str, Any]) -> dict[str, Any]:
        """The configuration's order, also after a resume."""
        return {str(name): curves[str(name)] for name in self.curves}

    def _lines(self, photo: Tensor, loss: PerceptualLoss) -> dict[str, float]:
        lines = {"the photograph": objective(photo, photo, loss, precision=self.precision)}
        if self.network is not None:
            with torch.inference_mode():
                output = self.network(photo)[..., : photo.shape[-2], : photo.shape[-1]].clamp(0, 1)
            lines["the network"] = objective(output.clone(), photo, loss, precision=self.precision)
        return lines


def _measurer(cfg: DictConfig, curves: DictConfig, network: str | None, path: Path) -> _Measurer:
    require(cfg, style=None, features=None, loss=PerceptualLoss)
    check_device(cfg.device)
    style = instantiate(cfg.style).image(cfg.style_size or 512)
    features: LossNetwork = instantiate(cfg.features)(style).to(cfg.device)
    trained = None if network is None else load_named(network, system="stylizer")
    precision = choose_precision(cfg.precision, cfg.device)
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "loss_network": f"{cfg.features.architecture}: {features.description}",
        "precision": str(precision).removeprefix("torch."),
        "style": instantiate(cfg.style).describe(),
        "loss": OmegaConf.to_container(cfg.loss, resolve=True),
        "measured": {},
    }
    if cfg.resume is not None and path.exists():
        results["measured"] = json.loads(path.read_text(encoding="utf-8"))["measured"]
    return _Measurer(
        cfg=cfg,
        curves=curves,
        features=features,
        network=None if trained is None else trained.network.to(cfg.device),
        precision=precision,
        path=path,
        results=results,
    )
