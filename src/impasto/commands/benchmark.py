"""impasto benchmark: seconds, measured on this machine."""

from hydra.utils import instantiate
from omegaconf import DictConfig

_OF_GATYS = ("iterations", "whole")


def run(cfg: DictConfig) -> None:
    """Run the benchmark that is configured; it writes JSON, CSV, a table and a plot into the run folder.

    Raises:
        ValueError: a key that only another benchmark reads.
    """
    for key in _OF_GATYS:
        if cfg.get(key) is not None and not cfg.benchmark._target_.endswith("gatys_speed"):
            raise ValueError(f"{key}={cfg[key]} is of experiment=johnson2016_speed, which this is not")
    instantiate(cfg.benchmark, cfg, _recursive_=False)
