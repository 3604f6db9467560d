"""impasto evaluate: the comparisons of the papers, measured."""

from hydra.utils import instantiate
from omegaconf import DictConfig

_OF_SUPER_RESOLUTION = ("sets", "factors")


def run(cfg: DictConfig) -> None:
    """Run the evaluation that is configured; it writes JSON, a table and a plot into the run folder.

    Raises:
        ValueError: a key that only another evaluation reads.
    """
    for key in _OF_SUPER_RESOLUTION:
        if cfg.get(key) is not None and key not in cfg.evaluation:
            raise ValueError(f"{key}={cfg[key]} is of super-resolution; expected experiment=johnson2016_sr beside it")
    instantiate(cfg.evaluation, cfg, _recursive_=False)
