"""Lightning's Trainer from the configuration, and what a training refuses before it begins."""

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from impasto.group import check_size, find_group
from impasto.hardware import computes_bf16
from impasto.run_folders import RunFolder
from impasto.tracking.checkpoints import AtomicCheckpoints


def build_trainer(cfg: DictConfig, *, loggers: Sequence[Logger], callbacks: Sequence[Callback]) -> Trainer:
    """Build the Trainer, further callbacks behind those of the configuration."""
    configured = [instantiate(callback) for callback in cfg.callbacks.values() if callback is not None]
    try:
        trainer: Trainer = instantiate(
            cfg.trainer,
            precision=_precision(cfg.trainer),
            logger=list(loggers),
            callbacks=[*configured, *callbacks],
            plugins=[AtomicCheckpoints(), *_environment()],
            default_root_dir=str(cfg.folder),
        )
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException | TypeError):
            asked = f"trainer.accelerator={cfg.trainer.accelerator}, trainer.devices={cfg.trainer.devices}"
            raise ValueError(f"{asked}: {error.__cause__} (trainer.accelerator=auto takes what is there)") from error
        raise
    check_size(trainer.num_devices, trainer.num_nodes)
    _refuse_in_parallel(trainer)
    return trainer


def check_fits(system: LightningModule, checkpoint: Path) -> None:
    """Refuse another network's checkpoint, or half a one, before W&B and other processes hear of the run."""
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise ValueError(f"{checkpoint} cannot be read; expected a whole checkpoint of 'impasto train'") from error
    system.on_load_checkpoint(saved)
    try:
        system.load_state_dict(saved["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"{checkpoint} does not fit; give network and loss the values of the run's begin") from error


def check_schedule(cfg: DictConfig, *, resume: bool) -> None:
    """Refuse a schedule that ends before the training, and on resume other numbers than the checkpoint restores."""
    steps, end = cfg.trainer.max_steps, OmegaConf.select(cfg, "system.scheduler.total_steps")
    if not isinstance(steps, int):
        raise ValueError(f"expected trainer.max_steps to be a whole number, got {steps}")
    now: Any = OmegaConf.to_container(cfg.system, resolve=True)
    before: Any = RunFolder(Path(cfg.folder)).read_config()["system"] if resume else now
    for key in ("optimizer", "scheduler"):
        # The steps of warm_up_cosine may be made more.
        old, new = ({k: v for k, v in (each[key] or {}).items() if k != "steps"} for each in (before, now))
        for name in old | new:
            if old.get(name) != new.get(name):
                change = f"system.{key}.{name} was {old.get(name)} and would be {new.get(name)}"
                raise ValueError(f"a resumed run keeps its {key}; {change}; start a new run for that")
    if end is not None and end < steps:
        raise ValueError(f"system.scheduler ends with step {end}; expected trainer.max_steps up to that, got {steps}")


def _refuse_in_parallel(trainer: Trainer) -> None:
    """Lightning starts the processes of a group by this process's command line, which one of many jobs has not."""
    launcher = HydraConfig.get().launcher._target_.rsplit(".", 1)[-1]
    several = HydraConfig.get().mode == RunMode.MULTIRUN and launcher != "BasicLauncher"
    if several and trainer.world_size > 1 and find_group().size == 1:
        advice = "trainer.devices=1, or hydra/launcher=submitit_slurm with as many hydra.launcher.tasks_per_node"
        raise ValueError(f"jobs of {launcher} cannot start {trainer.world_size} processes each; expected {advice}")


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
