"""A trainer for a few steps on the CPU."""

from pathlib import Path
from typing import Any

from lightning import Trainer


def small_trainer(folder: Path, *, steps: int = 2, **options: Any) -> Trainer:
    """Lightning's Trainer, quiet and without validation unless the options, its own, say otherwise."""
    return Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        inference_mode=False,
        default_root_dir=str(folder),
        **{"limit_val_batches": 0, **options},
    )
