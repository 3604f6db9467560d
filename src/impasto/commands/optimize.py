"""impasto optimize: Gatys' optimisation of one image after the other, logged and saved so that nothing is lost."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from impasto.build.optimization import Painter, named_style
from impasto.build.settings import Count, Flag, Folder, Positive, Settings, Text, Tile
from impasto.commands import log
from impasto.commands.apply import failure
from impasto.commands.wandb_logger import wandb_logger
from impasto.files import short_name, whole_file
from impasto.gatys import Optimization
from impasto.hardware import peak_memory
from impasto.images import read_file, to_uint8, write_image
from impasto.launch.resume import begin_again
from impasto.listing import find_photographs, make_results_folder, refuse_original
from impasto.memory import gibibytes
from impasto.pipeline import Job
from impasto.run_folders import RunFolder
from impasto.tracking.bar import Bar
from impasto.tracking.loggers import MetricsFile
from impasto.tracking.recording import Interrupted, StopSignal, finish_loggers


class _Settings(Settings):
    output: Folder
    size: Count | None
    style_size: Count | None
    smallest: Count | None
    steps: Count
    save_every: Count
    tile: Tile
    overwrite: Flag
    blend: dict[Text, Positive] | None


def run(cfg: DictConfig) -> None:
    """Optimise every photograph named, one after the other; with `resume`, go on with the one that was interrupted."""
    given = _Settings.read(cfg)
    found = find_photographs(cfg.images, given.output)
    further = [(weight, named_style(name, cfg.data_root)) for name, weight in (given.blend or {}).items()]
    painter = Painter(cfg, further)
    make_results_folder(given.output)
    failed, lost = [], Counter[str]()
    log.info("run folder: %s", cfg.folder)
    for index, (source, name) in enumerate(found):
        job = Job(source, given.output / name)
        picture = _Picture(cfg, name, index=index, count=len(found), target=job.target)
        if job.target.exists() and not picture.checkpoint.exists() and not given.overwrite:
            log.info("kept as it is: %s; overwrite=true replaces it", job.target)
            continue
        try:
            refuse_original(source, job.target)
            decoded = read_file(source, at_most=given.size)
            lost.update(decoded.remarks)
            assert isinstance(decoded.image, Tensor)  # of which the optimisation needs several
            photo = decoded.image[None].to(cfg.device)
            picture.optimise(painter.optimization(photo), partial(painter.finish, photo=photo), decoded.kept)
        except (ValueError, OSError, FloatingPointError, RuntimeError, MemoryError) as error:
            failed.append(failure(job, error, kept=f"what is finished is in {given.output}"))
    for what, count in lost.items():
        log.info("%s: %d of the photographs", what, count)
    if failed:
        title = f"{len(failed)} of {len(found)} failed:\n  " if len(found) > 1 else ""
        raise ValueError(title + "\n  ".join(failed))


class _Picture:
    """The result of one photograph, by its relative name, with its curve, samples and checkpoint."""

    def __init__(self, cfg: DictConfig, name: Path, *, index: int, count: int, target: Path) -> None:
        self.cfg, self.name, self.target, self.index = cfg, name, target, index
        self.title = name.name if count == 1 else f"{name.name} ({index + 1} of {count})"
        self.folder = RunFolder(Path(cfg.folder))
        self.curve_folder = self.folder.path if count == 1 else self.folder.curve_folder(name)
        self.checkpoint = self.folder.checkpoint_of(name)
        self.loggers: list[Any] = []

    def optimise(self, optimization: Optimization, finish: Callable[[Tensor], Tensor], kept: Mapping[str, Any]) -> None:
        """Optimise to the end, from the checkpoint where there is one.

        Args:
            optimization: at its start.
            finish: from the best image (1, 3, H, W) to the one to save (3, H, W).
            kept: of the photograph's file, as of `Decoded`.
        """
        if self.cfg.resume is not None and self.checkpoint.exists():
            optimization.load_state_dict(torch.load(self.checkpoint, map_location=self.cfg.device, weights_only=True))
        begin_again(self.cfg)
        suffix = f"-{self.index}" if self.index else ""
        chosen = wandb_logger(self.cfg, suffix=suffix, name=f"{self.cfg.name}_{short_name(self.name.stem)}")
        self.loggers = [MetricsFile(self.curve_folder), *([] if chosen is None else [chosen])]

        def save() -> Tensor:
            for logger in self.loggers:
                logger.save()  # first: a curve may reach further than the checkpoint, never less far
            with whole_file(self.checkpoint) as temporary:
                torch.save(optimization.state_dict(), temporary)
            image = finish(optimization.best)
            write_image(self.target, image, kept)
            return image

        try:
            with peak_memory(self.cfg.device) as peak:
                self._run(optimization, save)
            save()
        except FloatingPointError as error:
            if not optimization.calls:
                raise
            save()
            raise FloatingPointError(f"{error}; the last finite image is {self.target}") from error
        finally:
            for logger in self.loggers:
                logger.finalize("")
            finish_loggers()  # the next photograph has its own run
        self.checkpoint.unlink(missing_ok=True)
        figures = (self.target, optimization.best_value, optimization.calls, gibibytes(peak.bytes))
        log.info("%s: loss %.4g after %d steps, at most %s of memory", *figures)

    def _run(self, optimization: Optimization, save: Callable[[], Tensor]) -> None:
        with StopSignal() as stop, Bar(total=optimization.steps, done=optimization.calls) as bar:
            while (step := optimization.calls) < optimization.steps:
                if stop.requested:
                    raise Interrupted(f"stopped at step {step}; the best image so far is {self.target}")
                terms = optimization.step()
                step = optimization.calls
                metrics = {f"train/{name}": value for name, value in terms.items()}
                metrics |= {"train/loss": sum(terms.values()), "train/best": optimization.best_value}
                for logger in self.loggers:
                    logger.log_metrics(metrics, step=step)
                bar.update(step, " ".join([self.title, *(f"{name} {value:.3g}" for name, value in terms.items())]))
                if stop.requested or step % self.cfg.save_every == 0:
                    image = save()
                    write_image(self.folder.sample(step, str(self.name.with_suffix(""))), image)
                    for logger in self.loggers[1:]:  # metrics.csv has no pictures
                        logger.log_image(f"samples/{short_name(self.name.name)}", [to_uint8(image)], step=step)
