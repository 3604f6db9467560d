"""impasto evaluate: the comparisons of the papers, measured."""

from hydra.utils import instantiate
from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Run the evaluation that is configured; it writes JSON, a table and a plot into the run folder."""
    instantiate(cfg.evaluation, cfg, _recursive_=False)
