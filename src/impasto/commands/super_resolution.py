"""The evaluation of super-resolution (Johnson 2016, sec. 4.2), from the configuration to a table and a sheet."""

import hashlib
import json
import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from impasto.commands.super_resolution_inputs import (
    check_images,
    check_mappings,
    chosen_factors,
    chosen_sets,
    images_of,
    load_networks,
)
from impasto.commands.super_resolution_report import Report, plain
from impasto.commands.super_resolution_sheet import draw, pick_crops
from impasto.commands.wandb_logger import wandb_logger
from impasto.evaluation.super_resolution import (
    Protocol,
    Upscaling,
    compare,
    enlarge,
    low_and_truth,
    luma,
    read_test_image,
)
from impasto.hardware import check_device, describe_machine, synchronise
from impasto.launch.resume import begin_again
from impasto.networks import FACTORS, Trained
from impasto.resampling import upscale
from impasto.tables import write_json
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted
from impasto.tracking.tables import log_pictures, log_table

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 30.0


def evaluate_super_resolution(
    cfg: DictConfig,
    *,
    sets: Sequence[str] | str | None,
    factors: Sequence[int] | int | None,
    folders: Mapping[str, str],
    networks: Mapping[str, Mapping[str, str | None] | None],
    protocol: DictConfig,
    crops: Sequence[Mapping[str, Any]] | None,
    paper: DictConfig,
) -> None:
    """Enlarge every photograph of every set by every method; write `super_resolution.json`, `.csv`, `.md` and sheets.

    What is finished is saved at once; a resumed run goes on behind it, and begins anew where the protocol, a network, a
    folder or the device is another.

    Args:
        cfg: the whole configuration.
        sets: names out of `folders`; None takes all.
        factors: 4, 8; None takes both.
        folders: of the test sets, by name.
        networks: by "x4" or "x8" and by name, a shipped upscaler, a run folder or a file; None for none.
        protocol: builds a `Protocol`.
        crops: of the contact sheet: set, image, left, top and size.
        paper: by "x4" or "x8" and by set, whether the figures are checked, and by method PSNR and SSIM.

    Raises:
        ValueError: an unknown set or factor, a network of another factor, a file that is no image or too small, or a
            crop that does not lie inside its image.
        FileNotFoundError: no folder of a set, or no network.
        Interrupted: stopped by Ctrl-C; says how to go on.
    """
    check_device(cfg.device)
    check_mappings(folders=folders, networks=networks, protocol=protocol, paper=paper)
    rule = _protocol(protocol)
    chosen = chosen_factors(factors)
    images = {name: images_of(name, folders) for name in chosen_sets(sets, folders)}
    trained = {factor: load_networks(factor, networks) for factor in chosen}
    check_images(images, chosen, rule)
    places = pick_crops(crops or [], images, multiple=max(FACTORS))
    folder = Path(cfg.folder)
    log.info("run folder: %s", folder)
    results = _begin(cfg, folder, rule, {name: str(Path(folders[name]).absolute()) for name in images}, trained)
    results["paper"] = OmegaConf.to_container(paper, resolve=True)
    report = Report(results, sets=list(images), factors=chosen)
    begin_again(cfg)
    measurer = _Measurer(cfg.device, rule, results, folder / "super_resolution.json")
    drawn = []
    try:
        for index, factor in enumerate(chosen):
            methods = _methods(factor, trained[factor], cfg.device)
            for place, (name, paths) in enumerate(images.items()):
                done = (index * len(images) + place, len(chosen) * len(images))
                measurer.measure(name, paths, factor, methods, done=done)
                log.info("%s", report.block(name, factor))
            sheet = folder / f"super_resolution_x{factor}.png"
            draw(sheet, places, methods, results["measured"], factor=factor, protocol=rule, device=cfg.device)
            drawn.append(sheet)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"stopped; what is finished is saved; go on with: impasto evaluate resume={shlex.quote(str(folder))}"
        ) from error
    report.write(folder)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "evaluate/super_resolution", report.rows())
    log_pictures(logger, "evaluate/super_resolution_crops", drawn, [f"x{factor}" for factor in chosen])
    log.info("%s", report.text())


def _protocol(told: DictConfig) -> Protocol:
    try:
        built: Protocol = instantiate(told)
    except InstantiationException as error:  # which the command line unwraps once, and this is inside another
        raise (error.__cause__ or error) from None
    return built


def _begin(
    cfg: DictConfig,
    folder: Path,
    rule: Protocol,
    sets: Mapping[str, str],
    trained: Mapping[int, Mapping[str, tuple[str, Trained]]],
) -> dict[str, Any]:
    """Everything but the figures; with those of an earlier start that were measured in the same way."""
    networks = {f"x{factor}": {name: _told(*each) for name, each in found.items()} for factor, found in trained.items()}
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "device": cfg.device,
        "protocol": asdict(rule),
        "protocol_in_words": rule.describe(),
        "networks": networks,
        "folders": dict(sets),
        "measured": {},
    }
    file = folder / "super_resolution.json"
    if cfg.resume is not None and file.is_file():
        saved = json.loads(file.read_text(encoding="utf-8"))
        if all(saved[key] == results[key] for key in ("device", "protocol", "networks", "folders")):
            results["measured"] = saved["measured"]
    return results


def _told(name: str, trained: Trained) -> dict[str, Any]:
    content = hashlib.sha256()
    for value in trained.network.state_dict().values():
        content.update(value.cpu().contiguous().numpy().tobytes())
    card = trained.card
    return {
        "name": name,
        "experiment": card.get("experiment"),
        "steps": card.get("steps"),
        "sha256": content.hexdigest(),
    }


def _methods(factor: int, networks: Mapping[str, tuple[str, Trained]], device: str) -> dict[str, Upscaling]:
    found: dict[str, Upscaling] = {"bicubic": partial(upscale, factor=factor)}
    return found | {name: _upscaling(trained.network, device) for name, (_, trained) in networks.items()}


def _upscaling(network: nn.Module, device: str) -> Callable[[Tensor], Tensor]:
    """A network as a method; from and to the device."""
    ready = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def method(low: Tensor) -> Tensor:
        output: Tensor = ready(low.contiguous(memory_format=torch.channels_last))
        return output.contiguous()

    return method


@dataclass
class _Measurer:
    """What every set shares, and what has been measured so far."""

    device: str
    rule: Protocol
    results: dict[str, Any]
    file: Path

    def measure(
        self,
        name: str,
        paths: Mapping[str, Path],
        factor: int,
        methods: Mapping[str, Upscaling],
        *,
        done: tuple[int, int],
    ) -> None:
        """Measure one set at one factor, as far as that is not done; done: sets and factors before, and of all."""
        figures = self.results["measured"].setdefault(name, {}).setdefault(f"x{factor}", {})
        for other in [image for image in figures if image not in paths]:
            del figures[other]
        left = {image: path for image, path in paths.items() if image not in figures}
        if not left:
            return
        first = read_test_image(next(iter(left.values()))).photo
        for method in methods.values():  # the first call chooses kernels
            enlarge(method, low_and_truth(first.to(self.device), factor, self.rule)[0], matched=False)
        with Bar(total=len(paths), done=len(figures), log_every_seconds=_LOG_EVERY_SECONDS) as bar:
            for image, path in left.items():
                bar.update(len(figures), f"{name} x{factor} ({done[0] + 1} of {done[1]})")
                figures[image] = self._figures(path, factor, methods)
                write_json(self.file, self.results)
            bar.update(len(figures), f"{name} x{factor} ({done[0] + 1} of {done[1]})")

    def _figures(self, path: Path, factor: int, methods: Mapping[str, Upscaling]) -> dict[str, Any]:
        photo, grey = read_test_image(path)
        low, truth = low_and_truth(photo.to(self.device), factor, self.rule)
        wanted, figures = luma(truth, grey=grey), {}
        for name, method in methods.items():
            synchronise(self.device)
            begin = time.perf_counter()
            output = enlarge(method, low, matched=self.rule.match_histograms and name != "bicubic")
            synchronise(self.device)
            seconds = time.perf_counter() - begin
            found = compare(
                luma(output, grey=grey), wanted, border=self.rule.margin(factor), ssim_sigma=self.rule.ssim_sigma
            )
            figures[name] = {**plain(found._asdict()), "seconds": seconds}
        return figures
