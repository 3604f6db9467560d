"""Trained VGG weights: the original Caffe ones, torchvision's, or a file that says its own mean and deviation."""

import json
import logging
import re
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights

from impasto.features.vgg import VGG, layer_names
from impasto.files import sha256
from impasto.networks import read_safetensors
from impasto.suggest import did_you_mean

log = logging.getLogger(__name__)

CAFFE = {  # the authors' weights, converted by Johnson for PyTorch; a name ends with its file's SHA-256
    "vgg16": "https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth",
    "vgg19": "https://web.eecs.umich.edu/~justincj/models/vgg19-d01eb7cb.pth",
}
_CAFFE_STATISTICS = {"mean": [123.68 / 255, 116.779 / 255, 103.939 / 255], "std": [1 / 255] * 3}  # RGB
_WITHOUT = "work without any weights: features=random loss=random"
_FAILURES = (URLError, TimeoutError, ConnectionError, HTTPException, RuntimeError)  # the last: a wrong hash


def pretrained_vgg(
    style: Tensor,
    *,
    architecture: str,
    weights: str | Sequence[str],
    pooling: nn.Module,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> VGG:
    """Load a trained VGG, as deep as the weights go.

    Args:
        style: not used; every loss network is built from the style image, and only random filters look at it.
        architecture: "vgg16" or "vgg19".
        weights: a file, .safetensors or a PyTorch state dict, with torchvision's keys; or `CAFFE`, the original
            weights, or a name of torchvision's (`IMAGENET1K_V1`), downloaded once. Of several, the first that is there.
        pooling: takes the place of max pooling; halves height and width.
        mean: of the images that a file's weights were trained on, RGB in [0, 1]; None where the file says it.
        std: likewise.

    Raises:
        OSError: no such file, or a failed download; says what to do.
        ValueError: an unknown name, a file that holds no such weights or no mean and std, or code instead of weights.
    """
    del style
    layers = layer_names(architecture)
    *others, last = [weights] if isinstance(weights, str) else weights
    chosen = next((file for file in others if Path(file).is_file()), last)
    is_name = re.fullmatch(r"[A-Z0-9_]+", chosen) is not None and not Path(chosen).exists()
    path = _downloaded(architecture, chosen) if is_name else Path(chosen)
    if not path.is_file():
        names = ", ".join(_urls(architecture))
        raise FileNotFoundError(f"no weights file {path}; expected a file, or one of {names}; or {_WITHOUT}")
    tensors, said = _read_safetensors(path) if path.suffix == ".safetensors" else _read_state_dict(path)
    if "features.0.weight" not in tensors:
        raise ValueError(f"{path} has no 'features.0.weight'; expected the keys of torchvision's {architecture}")
    said = _statistics(architecture, path) | said
    mean, std = mean or said.get("mean"), std or said.get("std")
    if mean is None or std is None:
        advice = "give features.mean=[..] features.std=[..]"
        raise ValueError(f"{path} does not say the mean and std of its images; {advice}")
    renamed = {  # from torchvision's features.0.weight to conv1_1.weight, without the classifier
        f"{layer}.{kind}": tensors[f"features.{number}.{kind}"]
        for number, layer in enumerate(layers)
        for kind in ("weight", "bias")
        if f"features.{number}.{kind}" in tensors
    }
    description = f"{path.name}, sha256 {sha256(path)[:16]}"
    return VGG(renamed, architecture=architecture, mean=mean, std=std, pooling=pooling, description=description)


def _urls(architecture: str) -> dict[str, str]:
    return {"CAFFE": CAFFE[architecture], **{w.name: w.url for w in get_model_weights(architecture)}}


def _statistics(architecture: str, path: Path) -> dict[str, list[float]]:
    """The mean and std of the images, where a file is one that can be downloaded, by its name."""
    if path.name == Path(CAFFE[architecture]).name:
        return _CAFFE_STATISTICS
    for weights in get_model_weights(architecture):
        if Path(weights.url).name == path.name:
            return {"mean": list(weights.transforms().mean), "std": list(weights.transforms().std)}
    return {}


def _downloaded(architecture: str, name: str) -> Path:
    """Return the file of weights with this name, where torchvision keeps its own; it is fetched once."""
    urls = _urls(architecture)
    if name not in urls:
        raise ValueError(f"{architecture} has no weights '{name}'{did_you_mean(name, urls)}")
    path = Path(torch.hub.get_dir(), "checkpoints", Path(urls[name]).name)
    if not path.is_file():
        log.info("fetching %s, once; it is kept as %s", urls[name], path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(urls[name], str(path), hash_prefix=path.stem.rpartition("-")[2])
        except _FAILURES as error:
            advice = f"give features.weights=<that file>, fetched elsewhere, or {_WITHOUT}"
            raise ConnectionError(f"could not download {urls[name]} ({error}); {advice}") from error
    return path


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    metadata, tensors = read_safetensors(path)
    try:
        return tensors, {k: [float(v) for v in json.loads(metadata[k])] for k in ("mean", "std") if k in metadata}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected a mean and a std as '[0.4, 0.5, 0.6]' in its metadata") from error


def _read_state_dict(path: Path) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises anything: KeyError, struct.error, OSError, ...
        raise ValueError(f"{path} is refused: not a plain state dict of tensors, nothing in it was executed") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds a {type(loaded).__name__}; expected a state dict")
    tensors = {k: v for k, v in loaded.items() if isinstance(v, Tensor) and str(k).startswith("features.")}
    if "features.0.weight" in tensors and path.name in {Path(url).name for url in CAFFE.values()}:
        first = tensors["features.0.weight"]
        tensors["features.0.weight"] = first.flip(1).contiguous()  # from BGR, which Caffe reads, to RGB
    return tensors, {key: [float(v) for v in loaded[key]] for key in ("mean", "std") if key in loaded}
