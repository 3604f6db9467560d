"""impasto train: train a network, or go on with a run that stopped."""

import signal
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig

from impasto.build.settings import Count, Settings
from impasto.build.tasks import BuildTask
from impasto.build.trainer import build_trainer, check_fits, check_schedule
from impasto.commands import log
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import Photographs
from impasto.group import is_first_process
from impasto.launch.resume import begin_again
from impasto.run_folders import RunFolder
from impasto.tracking.checkpoints import Checkpoints
from impasto.tracking.loggers import MetricsFile
from impasto.tracking.recording import Interrupted, StartAgain


class _Settings(Settings):
    style_size: Count
    checkpoint_every: Count


def run(cfg: DictConfig) -> None:
    """Train as configured; with `resume`, go on from the last checkpoint."""
    given = _Settings.read(cfg)
    torch.set_float32_matmul_precision("high")
    seed_everything(cfg.seed, workers=True, verbose=False)
    folder = Path(cfg.folder)
    data: Photographs = instantiate(cfg.data)
    build: BuildTask = instantiate(cfg.task)
    system, card = build(cfg, data)
    log.info("%d parameters to train", sum(p.numel() for p in system.parameters() if p.requires_grad))
    checkpoints = Checkpoints(folder, every=given.checkpoint_every, card=card)
    resume = cfg.resume is not None and checkpoints.last.exists()
    check_schedule(cfg, resume=resume)
    if resume:
        check_fits(system, checkpoints.last)
    record = LambdaCallback(on_train_start=lambda *_: begin_again(cfg))
    chosen = wandb_logger(cfg) if is_first_process() else None
    loggers: list[Any] = [MetricsFile(folder), *([] if chosen is None else [chosen])]
    trainer = build_trainer(cfg, loggers=loggers, callbacks=[record, checkpoints])
    log.info("run folder: %s", folder)
    try:
        if not resume:
            if cfg.resume is not None:
                log.warning("%s has no checkpoint yet; starting it from the beginning", folder)
            begin_again(cfg)
            trainer.validate(system, data, verbose=False, weights_only=True)  # untrained: step 0 of the curves
        _fit(trainer, system, data, checkpoints, resume=resume)
    except SystemExit as end:  # Lightning's answer to a Ctrl-C that no step could finish, or a SIGTERM outside of steps
        if not isinstance(end, SIGTERMException) and not isinstance(end.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise Interrupted("stopped at once") from end
    except FloatingPointError as error:
        kept = f"the last good checkpoint is {checkpoints.last}" if checkpoints.last.exists() else "no checkpoint yet"
        raise FloatingPointError(f"{error}; {kept}") from error
    if checkpoints.stop.requested:
        stopped = StartAgain if checkpoints.stop.again else Interrupted
        raise stopped(f"stopped at step {trainer.global_step}")
    log.info("trained %d steps; samples in %s", trainer.global_step, RunFolder(folder).samples)


def _fit(
    trainer: Trainer, system: LightningModule, data: LightningDataModule, checkpoints: Checkpoints, *, resume: bool
) -> None:
    try:
        trainer.fit(system, datamodule=data, ckpt_path=checkpoints.last if resume else None, weights_only=True)
    except RuntimeError as error:
        if trainer.world_size > 1 and "Connection" in str(error):
            raise ConnectionError("another process of this training ended; unless killed, it says why") from error
        raise
    if checkpoints.validated_step != trainer.global_step and not checkpoints.stop.requested:
        trainer.validate(system, data, verbose=False, weights_only=True)
        checkpoints.save_network(trainer, system)
