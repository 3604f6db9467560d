"""impasto benchmark: the evaluations whose figures are seconds, on this machine."""

from omegaconf import DictConfig

from impasto.commands import evaluate


def run(cfg: DictConfig) -> None:
    """Measure as `impasto evaluate` does."""
    evaluate.run(cfg, command="benchmark")
