"""What trains a small loss network: a teacher, photographs for its leading directions, and painters."""

from collections.abc import Sequence

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from impasto.commands.config import require
from impasto.commands.tasks import Task, common_card
from impasto.data import CentreCrop, Photographs, Shards
from impasto.images import read_image
from impasto.networks import Pocket
from impasto.runs import load_named, shipped


def distillation(
    cfg: DictConfig, data: Photographs | Shards, *, photographs: int, size: int, painters: Sequence[str] | None
) -> Task:
    """Build a small loss network's training.

    Args:
        cfg: of `impasto train`.
        data: of the training.
        photographs: over which the teacher's leading directions are found.
        size: their sides in pixels.
        painters: shipped styles, or run folders, whose works the network shall know; None takes all that are shipped.

    Raises:
        ValueError: no teacher, another network than a Pocket, or data that are no files.
    """
    require(cfg, features=None, network=Pocket)
    if isinstance(data, Shards):
        raise ValueError("a pocket network is distilled on files of photographs; give data=photographs")
    if cfg.loss is not None or cfg.style is not None:
        raise ValueError("a pocket network has no other loss than its teacher; expected loss=none and style=none")
    data.setup("fit")
    paths = data.train_paths[:: max(1, len(data.train_paths) // photographs)]
    cut = CentreCrop(size=size)
    squares = torch.stack([cut.cut(read_image(path, at_least=cut.at_least)) for path in paths])
    teacher = instantiate(cfg.features)(squares[:1])
    names = shipped("stylizer") if painters is None else list(painters)
    loaded = [load_named(name, system="stylizer").network for name in names]
    network = instantiate(cfg.network)
    system = instantiate(cfg.system, network=network, teacher=teacher, photographs=squares, painters=loaded)
    told = {"teacher": f"{cfg.features.architecture}: {teacher.description}", "painters": names}
    return Task(system, common_card(cfg) | told)
