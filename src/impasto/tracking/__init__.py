"""The run folder and everything that writes into it while a run goes on."""

from impasto.tracking.checkpoints import AtomicCheckpoints, Checkpoints
from impasto.tracking.metrics import MetricsFile
from impasto.tracking.progress import Progress
from impasto.tracking.run_folder import Interrupted, recorded, write_environment
from impasto.tracking.samples import Samples
from impasto.tracking.wandb_run import WandbOptions, finish_wandb, start_wandb

__all__ = [
    "AtomicCheckpoints",
    "Checkpoints",
    "Interrupted",
    "MetricsFile",
    "Progress",
    "Samples",
    "WandbOptions",
    "finish_wandb",
    "recorded",
    "start_wandb",
    "write_environment",
]
