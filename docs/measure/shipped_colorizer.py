"""Print the documentation's figures of the shipped colorizer, on the held-out photographs.

Needs IMPASTO_DATA, as the training did: python docs/measure/shipped_colorizer.py
"""

import sys

from hydra import compose
from hydra.utils import instantiate

from impasto.cli import conf_dir
from impasto.evaluation.colour import mean_chroma, measure_colorizer, measure_guesses
from impasto.evaluation.lpips import find_lpips
from impasto.images import read_image
from impasto.launch.composition import initialize
from impasto.trained import load_shipped, shipped

_VIVIDNESS = (1.0, 1.2, 1.4)


def measure_colorizers() -> None:
    """Print the colour error of each shipped colorizer, and its scenes, beside guesses that need no network."""
    for name in shipped("colorizer"):
        trained = load_shipped(name, system="colorizer")
        with initialize(conf_dir()):
            cfg = compose("train", [f"experiment={trained.card['experiment']}"])
        data, lpips = instantiate(cfg.data), find_lpips(f"{cfg.data_root}/weights/alexnet_lpips.safetensors")
        data.prepare_data()
        data.setup("fit")
        chroma = mean_chroma(read_image(path) for path in data.train_paths[::10])
        found = measure_guesses(data.val_paths, data.val_labels, chroma, lpips=lpips)
        for gain in _VIVIDNESS:
            measured = measure_colorizer(trained, data.val_paths, data.val_labels, lpips=lpips, vividness=gain)
            found[f"shipped, vividness {gain}"] = measured
        for label, measured in found.items():
            words = ", ".join(f"{key} {value:.3f}" for key, value in measured.items() if value is not None)
            sys.stdout.write(f"{name} {label}: {words}\n")


if __name__ == "__main__":
    measure_colorizers()
