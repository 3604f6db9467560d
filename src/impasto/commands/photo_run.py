"""One photograph's part of a run folder: its curve, its samples, its checkpoint, its result."""

import logging
import sys
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
from impasto.tracking.bar import Bar
from impasto.tracking.metrics import MetricsFile
from impasto.tracking.run_folder import Interrupted, finish_wandb
from impasto.tracking.stop import StopSignal

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 30.0


class PhotoRun:
    """The optimisation of one photograph, logged and saved so that nothing is lost.

    Args:
        cfg: of the command.
        name: of the result, relative to the output folder.
        index: of the photograph.
        count: photographs in all.
        target: the result's file.
    """

    def __init__(self, cfg: DictConfig, name: Path, *, index: int, count: int, target: Path) -> None:
        self.cfg, self.name, self.target, self.index = cfg, name, target, index
        self.title = name.name if count == 1 else f"{name.name} ({index + 1} of {count})"
        self.folder = Path(cfg.folder)
        self.curve_folder = self.folder if count == 1 else self.folder / "curves" / name
        self.checkpoint = self.folder / "checkpoints" / name.with_name(f"{short_name(name.name)}.pt")

    def is_kept(self) -> bool:
        """Whether the result is there already, finished."""
        return self.target.exists() and not self.checkpoint.exists() and not self.cfg.overwrite

    def paint(self, optimization: Optimization, *, finish: Callable[[Tensor], Tensor], kept: Mapping[str, Any]) -> None:
        """Optimise to the end, from the checkpoint where there is one.

        Args:
            optimization: at its start.
            finish: from the best image (1, 3, H, W) to the one to save (3, H, W).
            kept: of the photograph's file, as of `Decoded`.

        Raises:
            Interrupted: stopped by Ctrl-C; image and checkpoint are saved.
            FloatingPointError: the loss is not finite; the last finite image is saved.
        """
        if self.cfg.resume is not None and self.checkpoint.exists():
            optimization.load_state_dict(torch.load(self.checkpoint, map_location=self.cfg.device, weights_only=True))
        begin_again(self.cfg)
        self.kept = kept
        loggers = self._loggers()
        try:
            with peak_memory(self.cfg.device) as peak:
                self._run(optimization, finish, loggers)
        except FloatingPointError as error:
            if not optimization.calls:
                raise
            self._save(optimization, finish)
            raise FloatingPointError(f"{error}; the last finite image is {self.target}") from error
        finally:
            for logger in loggers:
                logger.finalize("")
            stopped = "interrupted" if isinstance(sys.exception(), KeyboardInterrupt) else "failed"
            finish_wandb("finished" if sys.exception() is None else stopped)  # the next photograph has its own run
        self._save(optimization, finish)
        self.checkpoint.unlink(missing_ok=True)
        reached = (self.target, optimization.best_value, optimization.calls, gibibytes(peak.bytes))
        log.info("%s: loss %.4g after %d steps, at most %s of memory", *reached)

    def _run(self, optimization: Optimization, finish: Callable[[Tensor], Tensor], loggers: list[Any]) -> None:
        bar = Bar(total=optimization.steps, done=optimization.calls, log_every_seconds=_LOG_EVERY_SECONDS)
        with StopSignal() as stop, bar:
            while optimization.calls < optimization.steps:
                terms = optimization.step()
                self._log(loggers, optimization, terms)
                line = " ".join(f"{name} {value:.3g}" for name, value in terms.items())
                bar.update(optimization.calls, f"{self.title} {line}")
                if stop.requested or optimization.calls % self.cfg.save_every == 0:
                    for logger in loggers:
                        logger.save()
                    self._save(optimization, finish)
                    self._sample(optimization, finish, loggers)
                if stop.requested and optimization.calls < optimization.steps:
                    raise Interrupted(f"stopped at step {optimization.calls}; the best image so far is {self.target}")

    def _loggers(self) -> list[Any]:
        loggers: list[Any] = [MetricsFile(self.curve_folder)]
        run_id = str(self.cfg.run_id) + (f"-{self.index}" if self.index else "")
        wandb = wandb_logger(self.cfg, run_id=run_id, name=f"{self.cfg.name}_{short_name(self.name.stem)}_{run_id}")
        return loggers if wandb is None else [*loggers, wandb]

    def _log(self, loggers: list[Any], optimization: Optimization, terms: dict[str, float]) -> None:
        metrics = {f"train/{name}": value for name, value in terms.items()}
        metrics |= {"train/loss": sum(terms.values()), "train/best": optimization.best_value}
        for logger in loggers:
            logger.log_metrics(metrics, step=optimization.calls)

    def _save(self, optimization: Optimization, finish: Callable[[Tensor], Tensor]) -> None:
        with whole_file(self.checkpoint) as temporary:
            torch.save(optimization.state_dict(), temporary)
        write_image(self.target, finish(optimization.best), self.kept)

    def _sample(self, optimization: Optimization, finish: Callable[[Tensor], Tensor], loggers: list[Any]) -> None:
        image = finish(optimization.best)
        name = self.name.with_suffix(".png")
        write_image(self.folder / "samples" / f"step_{optimization.calls:06d}" / name, image)
        for logger in loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(f"samples/{short_name(name.stem)}", [to_uint8(image)], step=optimization.calls)
