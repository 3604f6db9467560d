"""Print README's table: the loss of each shipped style on the held-out photographs, beside the untrained network's.

Needs IMPASTO_DATA, as the training did: python docs/measure_shipped.py
"""

import sys

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from impasto.cli import conf_dir
from impasto.losses import PerceptualLoss
from impasto.runs import load_shipped, shipped


@torch.inference_mode()
def measure(cfg: DictConfig, loss: PerceptualLoss, network: nn.Module) -> dict[str, float]:
    """Return the mean of each term over the held-out photographs, at the training's precision."""
    data = instantiate(cfg.data)
    data.setup("fit")
    sums: dict[str, float] = {}
    for batch in data.val_dataloader():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            terms = loss(network(batch.image), loss.targets(batch.image))
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch.image) / len(data.val_paths)
    return {"loss": sum(sums.values()), **sums}


def main() -> None:
    """Measure every shipped style."""
    for name in shipped("stylizer"):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose("train", [f"experiment={name}"])
        style = instantiate(cfg.style).image(cfg.style_size)
        loss = instantiate(cfg.loss)(instantiate(cfg.features)(style), style)
        torch.manual_seed(cfg.seed)
        for label, network in (("untrained", instantiate(cfg.network)), ("shipped", load_shipped(name).network)):
            terms = measure(cfg, loss, network)
            sys.stdout.write(f"{name} {label}: " + ", ".join(f"{t} {v:,.0f}" for t, v in terms.items()) + "\n")


if __name__ == "__main__":
    main()
