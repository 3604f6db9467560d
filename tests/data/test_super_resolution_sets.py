"""The photographs that upscalers are trained on are none of those that they are measured on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose
from omegaconf import OmegaConf
from torch.nn import functional

from impasto.cli import conf_dir
from impasto.images import read_image
from impasto.launch.composition import initialize
from impasto.listing import find_images

_SIDE = 12  # of a thumbnail; copies that were resized or compressed again have much the same


def _thumbnails(paths: list[Path]) -> torch.Tensor:
    """Grey, mean 0 and length 1, (n, 144): the products of two are their correlations."""
    found = []
    for path in paths:
        small = functional.interpolate(
            read_image(path, at_least=64).mean(dim=0)[None, None], (_SIDE, _SIDE), mode="area"
        )
        found.append((small - small.mean()).flatten())
    return functional.normalize(torch.stack(found))


def _paths(sources: list[str]) -> list[Path]:
    return [found.path for found in find_images(sources)]


@pytest.mark.slow
def test_training_and_test_sets_share_no_photograph(real_data: Path) -> None:
    tested = _paths([str(real_data / "sr" / name) for name in ("Set5", "Set14", "BSD100")])
    assert len(tested) == 119
    with initialize(conf_dir()):
        cfg: Any = compose("train", ["experiment=upscaler", f"data_root={real_data}"])
    held_out = _thumbnails(tested)
    for sources in (cfg.data.train, cfg.data.val):
        trained = _paths(OmegaConf.to_object(sources))  # type: ignore[arg-type]
        trained = [path for path in trained if path.name not in cfg.data.leave_out]
        likeness, which = (_thumbnails(trained) @ held_out.T).flatten().max(dim=0)
        one, other = trained[int(which) // len(tested)], tested[int(which) % len(tested)]
        assert likeness < 0.97, f"{one} looks like {other}"


def test_a_copy_is_found(real_data: Path) -> None:
    train, test = real_data / "sr" / "BSD200_train" / "302003.jpg", real_data / "sr" / "Set5" / "woman.png"
    assert (_thumbnails([train]) @ _thumbnails([test]).T).item() > 0.99  # hence data.leave_out
