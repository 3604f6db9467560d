"""impasto train: train a network, or go on with a run that stopped."""

import logging
import shlex
import signal
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf

from impasto.commands.job import begin_again
from impasto.commands.tasks import BuildTask
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import Photographs
from impasto.group import check_size, find_group, is_first_process
from impasto.hardware import computes_bf16
from impasto.run_folders import RunFolder
from impasto.tracking.checkpoints import AtomicCheckpoints, Checkpoints
from impasto.tracking.metrics import MetricsFile
from impasto.tracking.run_folder import Interrupted, StartAgain

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Train as configured; with `resume`, go on from the last checkpoint.

    Raises:
        Interrupted: stopped by Ctrl-C or SIGTERM, everything saved; StartAgain where Slurm's SIGUSR1 did it.
        FloatingPointError: the loss is not finite any more; the last checkpoint is good.
    """
    torch.set_float32_matmul_precision("high")
    seed_everything(cfg.seed, workers=True, verbose=False)
    folder = Path(cfg.folder)
    data: Photographs = instantiate(cfg.data)
    build: BuildTask = instantiate(cfg.task)
    system, card = build(cfg, data)
    checkpoints = Checkpoints(folder, every=cfg.checkpoint_every, card=card)
    resume = cfg.resume is not None and checkpoints.last.exists()
    _check_schedule(cfg, resume=resume)
    if resume:
        _check_fits(system, checkpoints.last)
    trainer = _trainer(cfg, folder, checkpoints)
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
        raise Interrupted(f"stopped at once; go on with: impasto train resume={shlex.quote(str(folder))}") from end
    except FloatingPointError as error:
        kept = f"the last good checkpoint is {checkpoints.last}" if checkpoints.last.exists() else "no checkpoint yet"
        raise FloatingPointError(f"{error}; {kept}") from error
    if checkpoints.stop.requested:
        told = f"stopped at step {trainer.global_step}; go on with: impasto train resume={shlex.quote(str(folder))}"
        raise StartAgain(told) if checkpoints.stop.again else Interrupted(told)
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


def _check_fits(system: LightningModule, checkpoint: Path) -> None:
    """Refuse another network before W&B and other processes are told of the run."""
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise ValueError(f"{checkpoint} cannot be read; expected a whole checkpoint of 'impasto train'") from error
    system.on_load_checkpoint(saved)
    try:
        system.load_state_dict(saved["state_dict"])
    except RuntimeError as error:
        raise ValueError(
            f"{checkpoint} does not fit; give network and loss the values that the run began with"
        ) from error


def _check_schedule(cfg: DictConfig, *, resume: bool) -> None:
    """Refuse a schedule that ends before the training, and on resume other numbers than the checkpoint restores."""
    steps, end = cfg.trainer.max_steps, OmegaConf.select(cfg, "system.scheduler.total_steps")
    if not isinstance(steps, int):
        raise ValueError(f"expected trainer.max_steps to be a whole number, got {steps}")
    now: Any = OmegaConf.to_container(cfg.system, resolve=True)
    was: Any = OmegaConf.load(RunFolder(Path(cfg.folder)).config_file).system if resume else now
    for key in ("optimizer", "scheduler"):
        old, new = was[key] or {}, now[key] or {}
        for name in {**old, **new}:
            if old.get(name) != new.get(name) and name != "steps":  # of warm_up_cosine, which may be made longer
                raise ValueError(
                    f"a resumed run keeps its {key}; system.{key}.{name} was {old.get(name)} and would be "
                    f"{new.get(name)}; start a new run for that"
                )
    if end is not None and end < steps:
        raise ValueError(
            f"system.scheduler ends with step {end}; expected trainer.max_steps of at most that, got {steps}"
        )


def _trainer(cfg: DictConfig, folder: Path, checkpoints: Checkpoints) -> Trainer:
    loggers: list[Any] = [MetricsFile(folder)]
    if is_first_process() and (wandb := wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")):
        loggers.append(wandb)
    callbacks = [instantiate(callback) for callback in cfg.callbacks.values() if callback is not None]
    try:
        trainer: Trainer = instantiate(
            cfg.trainer,
            precision=_precision(cfg.trainer),
            logger=loggers,
            callbacks=[*callbacks, LambdaCallback(on_train_start=lambda *_: begin_again(cfg)), checkpoints],
            plugins=[AtomicCheckpoints(), *_environment()],
            default_root_dir=str(folder),
        )
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException | TypeError):
            told = f"trainer.accelerator={cfg.trainer.accelerator}, trainer.devices={cfg.trainer.devices}"
            raise ValueError(f"{told}: {error.__cause__} (trainer.accelerator=auto takes what is there)") from error
        raise
    check_size(trainer.num_devices, trainer.num_nodes)
    _refuse_in_parallel(trainer)
    return trainer


def _refuse_in_parallel(trainer: Trainer) -> None:
    """Lightning starts the processes of a group by this process's command line, which one of many jobs has not."""
    launcher = HydraConfig.get().launcher._target_.rsplit(".", 1)[-1]
    several = HydraConfig.get().mode == RunMode.MULTIRUN and launcher != "BasicLauncher"
    if several and trainer.world_size > 1 and find_group().size == 1:
        raise ValueError(
            f"jobs of {launcher} cannot start {trainer.world_size} processes each; expected trainer.devices=1, the "
            "basic launcher, or hydra/launcher=submitit_slurm with as many hydra.launcher.tasks_per_node"
        )


def _environment() -> list[ClusterEnvironment]:
    """Say who starts the processes where Lightning would guess wrong."""
    if find_group().starter != "srun":
        return []
    # One process of Slurm's starts the others of its machine itself. Lightning's own answer to Slurm's signal would
    # save within a step, and load that checkpoint again for the last validation; `Checkpoints` answers instead.
    return [SLURMEnvironment(auto_requeue=False) if find_group().size > 1 else LightningEnvironment()]


def _precision(trainer: DictConfig) -> str:
    """Resolve "auto": bf16-mixed where the hardware computes in it, else 32-true (emulated bf16 is slow)."""
    if trainer.precision != "auto":
        return str(trainer.precision)
    on_gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
    return "bf16-mixed" if computes_bf16("cuda" if on_gpu else "cpu") else "32-true"
