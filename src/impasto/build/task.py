"""What the builders of all trainings share: the system with its model card, and refusals of what does not belong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.utils import get_object
from lightning import LightningModule
from omegaconf import DictConfig, OmegaConf
from torch import nn

from impasto.data import Photographs, Shards
from impasto.images import from_uint8
from impasto.networks import fold_batch_norm
from impasto.runs import load_run


class Task(NamedTuple):
    """What is trained."""

    system: LightningModule
    card: dict[str, Any]  # what the file of the network says of itself; steps and losses come with each checkpoint


BuildTask = Callable[[DictConfig, Photographs | Shards], Task]


def require(cfg: DictConfig, **kinds: type | tuple[type, ...] | None) -> None:
    """Refuse `<group>=none`, and a choice that builds another class than the group's in `kinds`; None takes any."""
    for group, kind in kinds.items():
        if (node := cfg.get(group)) is None:
            raise ValueError(f"{group}=none is for other work than this; give one that 'impasto ... --help' lists")
        built = get_object(node._target_)
        if kind is not None and not (isinstance(built, type) and issubclass(built, kind)):
            names = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
            raise ValueError(f"expected {group}=... to be a {names}, got a {built.__name__}")


def held_out(data: Photographs | Shards, count: int) -> torch.Tensor:
    """Return the first photographs of the validation, (P, 3, H, W), on which losses and random filters are scaled."""
    data.setup("fit")
    dataset = data.dataset("val", data.val_transform)
    return torch.stack([from_uint8(dataset[index].image) for index in range(min(count, len(dataset)))])


def common_card(cfg: DictConfig) -> dict[str, Any]:
    """Say of a network what every training says: its system, arguments, loss, data, experiment, seed and precision."""
    network: Any = OmegaConf.to_container(cfg.network, resolve=True)
    arguments = {key: value for key, value in network.items() if key not in ("_target_", "_partial_", "_convert_")}
    # ${data_root}/photos, and not where that is on this machine.
    data: Any = OmegaConf.to_container(cfg.data, resolve=False)
    further = {"unlabelled": data["unlabelled"]} if data.get("unlabelled") else {}
    train = data.get("train", data.get("root", data.get("urls")))
    return {
        "system": cfg.system_name,
        "network": {"class": network["_target_"].rsplit(".", 1)[1], **arguments},
        "loss": None if cfg.loss is None else OmegaConf.to_container(cfg.loss, resolve=False),
        "data": {"train": train, **further, "batch_size": cfg.data.batch_size},
        "experiment": cfg.name,
        "seed": cfg.seed,
        "precision": cfg.trainer.precision,
    }


def begin_with(network: nn.Module, card: dict[str, Any], start: str | None) -> nn.Module:
    """Return an untrained network with the weights of another of the same kind and styles, a run folder or a file.

    The card notes whose they were. Of one whose batch norm was folded, the network is folded, too: it trains without.
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
