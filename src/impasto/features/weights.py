"""Trained VGG weights: the original Caffe ones, torchvision's, or a file that says its own mean and deviation."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model_weights

from impasto.features.vgg import ARCHITECTURES, VGG, build_layers
from impasto.files import cache_file, sha256, whole_file
from impasto.suggest import did_you_mean

log = logging.getLogger(__name__)

CAFFE = {  # the authors' weights, converted by Johnson for PyTorch; a name ends with its file's SHA-256
    "vgg16": "https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth",
    "vgg19": "https://web.eecs.umich.edu/~justincj/models/vgg19-d01eb7cb.pth",
}
_CAFFE_MEAN, _CAFFE_STD = [123.68 / 255, 116.779 / 255, 103.939 / 255], [1 / 255] * 3  # RGB; the files want BGR


class Weights(NamedTuple):
    """Weights in torchvision's keys, and the normalisation that they were trained with."""

    tensors: Mapping[str, Tensor]
    mean: Sequence[float]
    std: Sequence[float]
    description: str


def pretrained_vgg(
    style: Tensor,
    *,
    architecture: str,
    weights: str | Sequence[str],
    pooling: nn.Module,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> VGG:
    """Load a trained VGG.

    Args:
        style: not used; every loss network is built from the style image, and only random filters look at it.
        architecture: "vgg16" or "vgg19".
        weights: a file, .safetensors or a PyTorch state dict, with torchvision's keys; or `CAFFE`, the original
            weights, or a name of torchvision's (`IMAGENET1K_V1`), downloaded once. Of several, the first that is there.
        pooling: takes the place of max pooling; halves height and width.
        mean: of the images that a file's weights were trained on, RGB in [0, 1]; None where the file says it.
        std: likewise.

    Returns:
        The frozen network, as deep as the weights go.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown name, a file that holds no such weights or no mean and std, or code instead of weights.
        ConnectionError: the download failed; says what to do.
    """
    del style
    *others, last = [weights] if isinstance(weights, str) else weights
    chosen = next((file for file in others if Path(file).is_file()), last)
    is_name = re.fullmatch(r"[A-Z0-9_]+", chosen) is not None and not Path(chosen).exists()
    loaded = _by_name(architecture, chosen) if is_name else _from_file(architecture, Path(chosen), mean, std)
    return VGG(
        _rename(loaded.tensors, architecture),
        architecture=architecture,
        mean=loaded.mean,
        std=loaded.std,
        pooling=pooling,
        description=loaded.description,
    )


def _rename(tensors: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """From torchvision's `features.0.weight` to `conv1_1.weight`; the classifier is left out."""
    names = list(build_layers(architecture, pooling=nn.Identity()))
    renamed = {}
    for key, value in tensors.items():
        match = re.fullmatch(r"features\.(\d+)\.(weight|bias)", key)
        if match and int(match[1]) < len(names):
            renamed[f"{names[int(match[1])]}.{match[2]}"] = value
    return renamed


def _torchvision_weights(architecture: str) -> dict[str, WeightsEnum]:
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture '{architecture}'{did_you_mean(architecture, ARCHITECTURES)}")
    return {w.name: w for w in get_model_weights(architecture)}


def _by_name(architecture: str, name: str) -> Weights:
    known = _torchvision_weights(architecture)
    if name == "CAFFE":
        return _from_file(architecture, _fetched(CAFFE[architecture]), None, None)
    if name not in known:
        names = ["CAFFE", *known]
        raise ValueError(f"{architecture} has no weights '{name}'{did_you_mean(name, names)}")
    entry = known[name]
    with _download(entry.url):
        tensors = entry.get_state_dict(progress=True, check_hash=True)
    return Weights(tensors, *_normalisation(entry), f"torchvision {architecture} {name}")


def _fetched(url: str) -> Path:
    """Return the file of the convolutions behind this address: the cache's, which is made once."""
    name = Path(url).stem
    path = cache_file(f"weights/{name}.safetensors")
    if path.is_file():
        return path
    log.info("fetching %s, once; its convolutions are kept as %s", url, path)
    with whole_file(path) as temporary, TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder) / Path(url).name
        with _download(url):
            torch.hub.download_url_to_file(url, str(whole), hash_prefix=name.rpartition("-")[2])
        tensors, statistics = _read_state_dict(whole)
        save_file(tensors, temporary, {key: json.dumps(list(value)) for key, value in statistics.items()})
    return path


@contextmanager
def _download(url: str) -> Iterator[None]:
    try:
        yield
    except (URLError, TimeoutError, ConnectionError, HTTPException, RuntimeError) as error:  # the last: a wrong hash
        raise ConnectionError(
            f"could not download {url} ({error}); download it on a machine with network and give "
            "features.weights=<that file>, or work without any download with features=random loss=random"
        ) from error


def _normalisation(entry: WeightsEnum) -> tuple[Sequence[float], Sequence[float]]:
    transforms = entry.transforms()
    return list(transforms.mean), list(transforms.std)


def _from_file(architecture: str, path: Path, mean: Sequence[float] | None, std: Sequence[float] | None) -> Weights:
    if not path.is_file():
        known = _torchvision_weights(architecture)
        raise FileNotFoundError(
            f"no weights file {path}; expected a file, or one of CAFFE, {', '.join(known)}; "
            "without any weights: features=random loss=random"
        )
    tensors, statistics = _read_safetensors(path) if path.suffix == ".safetensors" else _read_state_dict(path)
    for entry in _torchvision_weights(architecture).values():
        if path.name == Path(entry.url).name:  # torchvision's own file, downloaded by hand
            statistics = dict(zip(("mean", "std"), _normalisation(entry), strict=True)) | statistics
    mean, std = mean or statistics.get("mean"), std or statistics.get("std")
    if mean is None or std is None:
        raise ValueError(
            f"{path} does not say the mean and std of its images; give features.mean=[...] and features.std=[...], "
            "three numbers each for RGB in [0, 1]"
        )
    if "features.0.weight" not in tensors:
        raise ValueError(f"{path} has no 'features.0.weight'; expected the keys of torchvision's {architecture}")
    return Weights(tensors, mean, std, f"{path.name}, sha256 {sha256(path)[:16]}")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Sequence[float]]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error
    return tensors, {key: _numbers(metadata[key], path) for key in ("mean", "std") if key in metadata}


def _numbers(text: str, path: Path) -> list[float]:
    try:
        return [float(value) for value in json.loads(f"[{text.strip('[]() ')}]")]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected numbers as '[0.4, 0.5, 0.6]' in its metadata, got '{text}'") from error


def _read_state_dict(path: Path) -> tuple[dict[str, Tensor], dict[str, Sequence[float]]]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises anything: KeyError, struct.error, OSError, ...
        raise ValueError(f"{path} is refused: not a plain state dict of tensors, nothing in it was executed") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds a {type(loaded).__name__}; expected a state dict")
    tensors: dict[str, Tensor] = {
        key: value for key, value in loaded.items() if isinstance(value, Tensor) and str(key).startswith("features.")
    }
    statistics: dict[str, Sequence[float]] = {
        key: [float(v) for v in loaded[key]] for key in ("mean", "std") if key in loaded
    }
    first = tensors.get("features.0.weight")
    if first is not None and path.name in {Path(url).name for url in CAFFE.values()}:
        statistics = {"mean": _CAFFE_MEAN, "std": _CAFFE_STD} | statistics
        tensors["features.0.weight"] = first.flip(1).contiguous()  # from BGR, which Caffe reads, to RGB
    return tensors, statistics
