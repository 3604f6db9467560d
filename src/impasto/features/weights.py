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
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model_weights

from impasto.features.vgg import VGG, layer_names
from impasto.files import cache_file, sha256, whole_file
from impasto.networks import read_safetensors
from impasto.suggest import did_you_mean

log = logging.getLogger(__name__)

CAFFE = {  # the authors' weights, converted by Johnson for PyTorch; a name ends with its file's SHA-256
    "vgg16": "https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth",
    "vgg19": "https://web.eecs.umich.edu/~justincj/models/vgg19-d01eb7cb.pth",
}
_CAFFE_MEAN, _CAFFE_STD = [123.68 / 255, 116.779 / 255, 103.939 / 255], [1 / 255] * 3  # RGB; the files want BGR
Statistics = dict[str, Sequence[float]]  # "mean" and "std" of the images, where they are known


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
        FileNotFoundError: no such file.
        ValueError: an unknown name, a file that holds no such weights or no mean and std, or code instead of weights.
        ConnectionError: the download failed; says what to do.
    """
    del style
    names = layer_names(architecture)
    *others, last = [weights] if isinstance(weights, str) else weights
    chosen = next((file for file in others if Path(file).is_file()), last)
    is_name = re.fullmatch(r"[A-Z0-9_]+", chosen) is not None and not Path(chosen).exists()
    loaded = _by_name(architecture, chosen) if is_name else _from_file(architecture, Path(chosen), mean, std)
    renamed = {}  # from torchvision's features.0.weight to conv1_1.weight, without the classifier
    for key, value in loaded.tensors.items():
        match = re.fullmatch(r"features\.(\d+)\.(weight|bias)", key)
        if match and int(match[1]) < len(names):
            renamed[f"{names[int(match[1])]}.{match[2]}"] = value
    return VGG(
        renamed,
        architecture=architecture,
        mean=loaded.mean,
        std=loaded.std,
        pooling=pooling,
        description=loaded.description,
    )


def _by_name(architecture: str, name: str) -> Weights:
    if name == "CAFFE":
        return _from_file(architecture, _fetched(CAFFE[architecture]), None, None)
    known = {weights.name: weights for weights in get_model_weights(architecture)}
    if name not in known:
        raise ValueError(f"{architecture} has no weights '{name}'{did_you_mean(name, ['CAFFE', *known])}")
    with _download(known[name].url):
        tensors = known[name].get_state_dict(progress=True, check_hash=True)
    return Weights(tensors, **_statistics(known[name]), description=f"torchvision {architecture} {name}")


def _statistics(weights: WeightsEnum) -> Statistics:
    transforms = weights.transforms()
    return {"mean": list(transforms.mean), "std": list(transforms.std)}


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


def _from_file(architecture: str, path: Path, mean: Sequence[float] | None, std: Sequence[float] | None) -> Weights:
    known = list(get_model_weights(architecture))
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights file {path}; expected a file, or one of CAFFE, {', '.join(w.name for w in known)}; "
            "without any weights: features=random loss=random"
        )
    tensors, statistics = _read_safetensors(path) if path.suffix == ".safetensors" else _read_state_dict(path)
    for weights in known:
        if path.name == Path(weights.url).name:  # torchvision's own file, downloaded by hand
            statistics = _statistics(weights) | statistics
    mean, std = mean or statistics.get("mean"), std or statistics.get("std")
    if mean is None or std is None:
        raise ValueError(
            f"{path} does not say the mean and std of its images; give features.mean=[...] and features.std=[...], "
            "three numbers each for RGB in [0, 1]"
        )
    if "features.0.weight" not in tensors:
        raise ValueError(f"{path} has no 'features.0.weight'; expected the keys of torchvision's {architecture}")
    return Weights(tensors, mean, std, f"{path.name}, sha256 {sha256(path)[:16]}")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], Statistics]:
    metadata, tensors = read_safetensors(path)
    statistics: Statistics = {}
    for key, text in metadata.items():
        if key in ("mean", "std"):
            try:
                statistics[key] = [float(value) for value in json.loads(f"[{text.strip('[]() ')}]")]
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"{path}: expected numbers as '[0.4, 0.5, 0.6]' in its metadata, got '{text}'"
                ) from error
    return tensors, statistics


def _read_state_dict(path: Path) -> tuple[dict[str, Tensor], Statistics]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises anything: KeyError, struct.error, OSError, ...
        raise ValueError(f"{path} is refused: not a plain state dict of tensors, nothing in it was executed") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds a {type(loaded).__name__}; expected a state dict")
    tensors = {k: v for k, v in loaded.items() if isinstance(v, Tensor) and str(k).startswith("features.")}
    statistics: Statistics = {key: [float(v) for v in loaded[key]] for key in ("mean", "std") if key in loaded}
    if "features.0.weight" in tensors and path.name in {Path(url).name for url in CAFFE.values()}:
        statistics = {"mean": _CAFFE_MEAN, "std": _CAFFE_STD} | statistics
        first = tensors["features.0.weight"]
        tensors["features.0.weight"] = first.flip(1).contiguous()  # from BGR, which Caffe reads, to RGB
    return tensors, statistics
