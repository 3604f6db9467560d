"""Print README's figures of what is shipped, on the held-out photographs: losses of styles, colours of colorizers.

Needs IMPASTO_DATA, as the training did: python docs/measure_shipped.py
"""

import sys

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from impasto.cli import conf_dir
from impasto.evaluation.colorizers import measure_colorizer, measure_guesses
from impasto.evaluation.colour import mean_chroma
from impasto.images import read_image
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


def measure_styles() -> None:
    """Print the loss of each shipped style beside the untrained network's."""
    for name in shipped("stylizer"):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose("train", [f"experiment={name}"])
        style = instantiate(cfg.style).image(cfg.style_size)
        loss = instantiate(cfg.loss)(instantiate(cfg.features)(style), style)
        torch.manual_seed(cfg.seed)
        for label, network in (("untrained", instantiate(cfg.network)), ("shipped", load_shipped(name).network)):
            terms = measure(cfg, loss, network)
            sys.stdout.write(f"{name} {label}: " + ", ".join(f"{t} {v:,.0f}" for t, v in terms.items()) + "\n")


def measure_colorizers() -> None:
    """Print the colour error of each shipped colorizer, and its scenes, beside guesses that need no network."""
    for name in shipped("colorizer"):
        trained = load_shipped(name, system="colorizer")
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            data = instantiate(compose("train", [f"experiment={trained.card['experiment']}"]).data)
        data.prepare_data()
        data.setup("fit")
        chroma = mean_chroma(read_image(path) for path in data.train_paths[::10])
        found = measure_guesses(data.val_paths, data.val_labels, chroma)
        found["shipped"] = measure_colorizer(trained, data.val_paths, data.val_labels, lambda _: None)
        for label, measured in found.items():
            figures = {**measured.error._asdict(), "top1": measured.top1, "top5": measured.top5}
            told = ", ".join(f"{key} {value:.3f}" for key, value in figures.items() if value is not None)
            sys.stdout.write(f"{name} {label}: {told}\n")


def main() -> None:
    """Measure everything; `styles` or `colorizers` as an argument measures one kind."""
    kinds = {"styles": measure_styles, "colorizers": measure_colorizers}
    for kind in sys.argv[1:] or kinds:
        kinds[kind]()


if __name__ == "__main__":
    main()
