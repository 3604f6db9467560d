"""What trains a small loss network: a teacher, photographs for its leading directions, and painters."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.build.model_card import common_card
from impasto.build.tasks import Task, require
from impasto.data import CentreCrop, Photographs, Shards
from impasto.images import read_image
from impasto.listing import evenly_spread, find_images
from impasto.networks import Pocket, Trained, build_network
from impasto.systems.adversary import Adversary
from impasto.trained import load_named, load_run, shipped

_PAINTING = 320  # longer side in pixels of what an adversary imitates


def distillation(
    cfg: DictConfig,
    data: Photographs | Shards,
    *,
    photographs: int,
    size: int,
    painters: Sequence[str] | None,
    adversary: DictConfig | None,
    start: str | None,
) -> Task:
    """Build a small loss network's training, of values that conf/system/distillation.yaml explains."""
    require(cfg, features=(), network=[Pocket])
    if isinstance(data, Shards) or cfg.loss is not None or cfg.style is not None:
        expected = "data=photographs, loss=none, style=none"
        raise ValueError(f"a pocket network has no loss but its teacher; expected {expected}")
    side, batch = OmegaConf.select(cfg, "data.train_transform.size"), cfg.data.batch_size
    if side is not None and side % 8:  # else its activations have other shapes than its teacher's
        raise ValueError(f"expected data.train_transform.size to be a multiple of 8, got {side}")
    if adversary is not None and batch % 2:
        raise ValueError(f"expected an even data.batch_size, since works are compared in pairs; got {batch}")
    data.prepare_data()
    data.setup("fit")
    cut, paths = CentreCrop(size=size), evenly_spread(data.train_paths, photographs)
    squares = torch.stack([cut(read_image(path, at_least=cut.at_least)) for path in paths])
    teacher = instantiate(cfg.features)(squares[:1])
    names = shipped("stylizer") if painters is None else list(painters)
    trained = [load_named(name, system="stylizer") for name in names]
    network = instantiate(cfg.network) if start is None else load_run(Path(start).expanduser(), system="pocket").network
    system = instantiate(
        cfg.system,
        network=network.requires_grad_().train(),
        teacher=teacher,
        photographs=squares,
        pruned=start is None,
        painters=[painter.network for painter in trained],
        adversary=adversary and _adversary(adversary, trained),
    )
    described = {"teacher": f"{cfg.features.architecture}: {teacher.description}", "painters": names}
    return Task(system, common_card(cfg) | described | {"start": start and Path(start).name})


def _adversary(node: DictConfig, painters: Sequence[Trained]) -> Adversary:
    """Build an adversary, which starts untrained as often as it starts as a painter."""
    if not painters:
        raise ValueError("expected painters for task.adversary, which starts as one of them; got none")
    found = find_images([str(pattern) for pattern in node.styles])
    paintings = [read_image(path, at_most=_PAINTING)[None] for path, _ in found]
    networks = [copy.deepcopy(painter.network) for painter in painters]
    networks += [build_network(painter.card["network"], Path("adversary")) for painter in painters]
    return Adversary(networks, paintings, steps=node.steps, rate=node.rate)
