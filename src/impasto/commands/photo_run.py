"""One photograph's part of a run folder: its curve, its samples, its checkpoint, its result."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from impasto.commands.wandb_logger import wandb_logger
from impasto.files import short_name, whole_file
from impasto.gatys import Optimization
from impasto.hardware import peak_memory
from impasto.images import to_uint8, write_image
from impasto.launch.resume import begin_again
from impasto.memory import gibibytes
from impasto.run_folders import RunFolder
from impasto.tracking.bar import Bar
from impasto.tracking.metrics import MetricsFile
from impasto.tracking.run_folder import Interrupted, finish_loggers
from impasto.tracking.stop import StopSignal

log = logging.getLogger(__name__)


class PhotoRun:
    """The optimisation of one photograph, logged and saved so that nothing is lost; `name` is the relative result."""

    def __init__(self, cfg: DictConfig, name: Path, *, index: int, count: int, target: Path) -> None:
        self.cfg, self.name, self.target, self.index = cfg, name, target, index
        self.title = name.name if count == 1 else f"{name.name} ({index + 1} of {count})"
        self.folder = RunFolder(Path(cfg.folder))
        self.curve_folder = self.folder.path if count == 1 else self.folder.curve_folder(name)
        self.checkpoint = self.folder.checkpoint_of(name)

    def is_kept(self) -> bool:
        """Whether the result is there already, finished."""
        return self.target.exists() and not self.checkpoint.exists() and not self.cfg.overwrite

    def paint(self, optimization: Optimization, *, finish: Callable[[Tensor], Tensor], kept: Mapping[str, Any]) -> None:
        """Optimise to the end, from the checkpoint where there is one.

        Args:
            optimization: at its start.
            finish: from the best image (1, 3, H, W) to the one to save (3, H, W).
            kept: of the photograph's file, as of `Decoded`.
        """
        if self.cfg.resume is not None and self.checkpoint.exists():
            optimization.load_state_dict(torch.load(self.checkpoint, map_location=self.cfg.device, weights_only=True))
        begin_again(self.cfg)
        self.optimization, self.finish, self.kept = optimization, finish, kept
        suffix = f"-{self.index}" if self.index else ""
        chosen = wandb_logger(self.cfg, suffix=suffix, name=f"{self.cfg.name}_{short_name(self.name.stem)}")
        self.loggers = [MetricsFile(self.curve_folder), *([] if chosen is None else [chosen])]
        outcome = "failed"
        try:
            with peak_memory(self.cfg.device) as peak:
                self._run()
            outcome = "finished"
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        except FloatingPointError as error:
            if not optimization.calls:
                raise
            self._save()
            raise FloatingPointError(f"{error}; the last finite image is {self.target}") from error
        finally:
            for logger in self.loggers:
                logger.finalize("")
            finish_loggers(outcome)  # the next photograph has its own run
        self._save()
        self.checkpoint.unlink(missing_ok=True)
        figures = (self.target, optimization.best_value, optimization.calls, gibibytes(peak.bytes))
        log.info("%s: loss %.4g after %d steps, at most %s of memory", *figures)

    def _run(self) -> None:
        optimization = self.optimization
        with StopSignal() as stop, Bar(total=optimization.steps, done=optimization.calls) as bar:
            while optimization.calls < optimization.steps:
                terms = optimization.step()
                metrics = {f"train/{name}": value for name, value in terms.items()}
                metrics |= {"train/loss": sum(terms.values()), "train/best": optimization.best_value}
                for logger in self.loggers:
                    logger.log_metrics(metrics, step=optimization.calls)
                shown = " ".join(f"{name} {value:.3g}" for name, value in terms.items())
                bar.update(optimization.calls, f"{self.title} {shown}")
                if stop.requested or optimization.calls % self.cfg.save_every == 0:
                    for logger in self.loggers:
                        logger.save()  # first: who goes on from the checkpoint needs the curve before it
                    self._save()
                    self._sample()
                if stop.requested and optimization.calls < optimization.steps:
                    raise Interrupted(f"stopped at step {optimization.calls}; the best image so far is {self.target}")

    def _save(self) -> None:
        for logger in self.loggers:
            logger.save()  # first: a curve may reach further than the checkpoint, never less far
        with whole_file(self.checkpoint) as temporary:
            torch.save(self.optimization.state_dict(), temporary)
        write_image(self.target, self.finish(self.optimization.best), self.kept)

    def _sample(self) -> None:
        step, image = self.optimization.calls, self.finish(self.optimization.best)
        write_image(self.folder.sample(step, str(self.name.with_suffix(""))), image)
        for logger in self.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(f"samples/{short_name(self.name.name)}", [to_uint8(image)], step=step)
