"""What the builders of all trainings share: the system with its model card, and refusals of what does not belong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.utils import get_object
from lightning import LightningModule
from omegaconf import DictConfig, OmegaConf
from torch import nn

from impasto.data import Photographs, Shards
from impasto.images import from_uint8
from impasto.networks import NETWORKS, fold_batch_norm
from impasto.runs import load_run


class Task(NamedTuple):
    """What is trained."""

    system: LightningModule
    card: dict[str, Any]  # what the file of the network says of itself; steps and losses come with each checkpoint


BuildTask = Callable[[DictConfig, Photographs | Shards], Task]


def require(cfg: DictConfig, **kinds: type | None) -> None:
    """Refuse `<group>=none`, and a choice that builds another class than the group's in `kinds`; None takes any."""
    for group, kind in kinds.items():
        if (node := cfg.get(group)) is None:
            raise ValueError(f"{group}=none is for other work than this; give one that 'impasto ... --help' lists")
        built = get_object(node._target_)
        if kind is not None and isinstance(built, type) and not issubclass(built, kind):
            raise ValueError(f"expected {group}=... to be a {kind.__name__}, got a {built.__name__}")


def check_network(cfg: DictConfig, *, from_data: Sequence[str]) -> None:
    """Refuse the network of another system: a colorizer's is given sizes, an upscaler's has a factor."""
    name, built = cfg.network._target_.rsplit(".", 1)[1], get_object(cfg.network._target_)
    if isinstance(built, type) and name not in NETWORKS:  # whose file no card could name, once it is trained
        raise ValueError(f"expected a network of impasto.networks.NETWORKS, got {name}")
    fits = ("factor" in cfg.network) == (cfg.system_name == "upscaler")
    if not fits or bool(cfg.network.get("_partial_", False)) != bool(from_data):
        kind = f"{'an' if cfg.system_name[0] in 'aeiou' else 'a'} {cfg.system_name}"
        raise ValueError(f"expected a network for {kind}, such as network={cfg.system_name}; got {name}")
    for key in from_data:
        if key in cfg.network:
            raise ValueError(f"network.{key} cannot be chosen: it comes from the data and the colour space")


def calibration_photo(data: Photographs | Shards) -> torch.Tensor:
    """Return a photograph for random filters, which are scaled on it."""
    data.setup("fit")
    dataset: Any = data.val_dataloader().dataset
    return from_uint8(dataset[0].image[None])


def common_card(cfg: DictConfig) -> dict[str, Any]:
    """Say of a network what every training says: its system, arguments, loss, data, experiment, seed and precision."""
    network: Any = OmegaConf.to_container(cfg.network, resolve=True)
    arguments = {key: value for key, value in network.items() if key not in ("_target_", "_partial_", "_convert_")}
    # ${data_root}/photos, and not where that is on this machine.
    data: Any = OmegaConf.to_container(cfg.data, resolve=False)
    loss = None if cfg.loss is None else OmegaConf.to_container(cfg.loss, resolve=False)
    further = {"unlabelled": data["unlabelled"]} if data.get("unlabelled") else {}
    train = data.get("train", data.get("root", data.get("urls")))
    return {
        "system": cfg.system_name,
        "network": {"class": network["_target_"].rsplit(".", 1)[1], **arguments},
        "loss": loss,
        "data": {"train": train, **further, "batch_size": cfg.data.batch_size},
        "experiment": cfg.name,
        "seed": cfg.seed,
        "precision": cfg.trainer.precision,
    }


def begin_with(network: nn.Module, card: dict[str, Any], start: str | None) -> nn.Module:
    """Return the network with the weights of another of the same kind and styles, and note in the card whose they were.

    Of one whose batch norm was folded when it was saved, the network is folded, too: it trains without.

    Args:
        network: untrained.
        card: of it.
        start: a run folder or network file; None takes none.
    """
    card["start"] = start and Path(start).name  # and not where that is on this machine
    if start is None:
        return network
    trained = load_run(Path(start).expanduser(), system=card["system"])
    ours, theirs = ([style["name"] for style in described.get("styles", [])] for described in (card, trained.card))
    if card["network"] != trained.card["network"] or ours != theirs:
        styles = [f" for {', '.join(names)}" if names else "" for names in (ours, theirs)]
        raise ValueError(
            f"{start} does not fit: expected {card['network']}{styles[0]}, got {trained.card['network']}{styles[1]}"
        )
    if trained.card.get("folded"):
        network, card["folded"] = fold_batch_norm(network).train(), True
    network.load_state_dict(trained.network.state_dict())
    return network
