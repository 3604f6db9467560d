"""Trained networks as files: safetensors with a model card in the metadata, nothing in them is executed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.files import whole_file
from impasto.networks.cheng2015 import Cheng2015
from impasto.networks.colorizer import Colorizer, PretrainedColorizer
from impasto.networks.conditional import ConditionalStylizer, norms_of
from impasto.networks.folding import fold_batch_norm, has_batch_norm
from impasto.networks.pocket import Pocket
from impasto.networks.stylizer import JohnsonStylizer, Stylizer
from impasto.networks.upscaler import JohnsonUpscaler, Upscaler
from impasto.redaction import without_secrets
from impasto.suggest import did_you_mean

_KINDS = (
    *(Cheng2015, Colorizer, PretrainedColorizer, Pocket),
    *(ConditionalStylizer, JohnsonStylizer, Stylizer),
    *(JohnsonUpscaler, Upscaler),
)
NETWORKS: dict[str, type[nn.Module]] = {kind.__name__: kind for kind in _KINDS}  # a card can name these alone


class Trained(NamedTuple):
    """A network ready to use, in evaluation mode and float32, and what is known of it."""

    network: nn.Module
    card: dict[str, Any]  # "system", "network" (its class and arguments), and what the training recorded
    exported: Path | None = None  # the file of `impasto export` that holds the weights, which the network then lacks


def save_network(path: Path, network: nn.Module, card: Mapping[str, Any]) -> None:
    """Write a network's weights in float16 with its model card, whole or not at all.

    Batch norm is folded into the layers before it, which the card then says ("folded").

    Args:
        path: ending in .safetensors.
        network: its state dict is written; a tensor that float16 cannot hold stays float32.
        card: plain JSON; "network" must hold "class" and the arguments of the constructor. One with a "trunk" is of a
            style: scale and shift of the norms are written, for the trunk has the rest.

    Raises:
        ValueError: the weights are not finite.
        OSError: the folder cannot be written, or the disk is full.
    """
    card = dict(card)
    if has_batch_norm(network):
        network, card["folded"] = fold_batch_norm(network), True
    kept = norms_of(network) if "trunk" in card else network.state_dict()
    tensors = {name: _halved(name, value) for name, value in kept.items()}
    with whole_file(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"impasto": without_secrets(json.dumps(card))})
        except SafetensorError as error:  # safetensors hides the operating system's error
            raise OSError(f"could not write {path}: {error}") from error


def _halved(name: str, value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value
    if not torch.isfinite(value).all():
        raise ValueError(f"the weights {name} are not finite; nothing was written")
    half = value.half()
    return half if torch.isfinite(half).all() else value


def load_network(path: Path, *, onto: nn.Module | None = None) -> Trained:
    """Load a network that `save_network` wrote; a style `onto` its trunk, whose norms are replaced.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file (a pickle is refused unread), no card, or a card that does not fit.
    """
    card, tensors = _read(path)
    try:
        network = build_network(card["network"], path) if onto is None else onto
        if onto is not None:
            tensors = {**onto.state_dict(), **tensors}
        if card.get("folded"):
            network = fold_batch_norm(network)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (RuntimeError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the weights in {path} do not fit its own model card: {reason}") from error
    return Trained(network.eval(), card)


def network_card(path: Path) -> dict[str, Any]:
    """Read the card of a network that `save_network` wrote, without its weights; raises as `load_network`."""
    return _read(path, weights=False)[0]


def _read(path: Path, *, weights: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"no network file {path}")
    metadata, tensors = read_safetensors(path, weights=weights)
    try:
        return json.loads(metadata["impasto"]), tensors
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} has no impasto model card; expected a file that impasto wrote") from error


def read_safetensors(path: Path, *, weights: bool = True) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the metadata and the tensors of a file; ValueError where it is no safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys()) if weights else []
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}); nothing in it was executed") from error


def build_network(description: Mapping[str, Any], path: Path) -> nn.Module:
    """Build the untrained network that a file's card describes by "class" and arguments; ValueError if none of ours."""
    try:
        arguments = dict(description)
        name = arguments.pop("class")
        if name not in NETWORKS:
            raise ValueError(f"unknown network '{name}'{did_you_mean(str(name), NETWORKS)}")
        return NETWORKS[name](**arguments)
    except ValueError as error:
        raise ValueError(f"the model card of {path} describes no network of ours: {error}") from error
