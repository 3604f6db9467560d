"""The comparisons of `impasto evaluate`, and where pictures of methods come from: networks, folders of results."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig
from pydantic import ValidationError
from torch import Tensor

from impasto.build.settings import in_sentences
from impasto.build.tasks import require
from impasto.engines import eager
from impasto.evaluation.colour import tinted
from impasto.evaluation.comparison import Comparison
from impasto.images import read_image
from impasto.listing import Found, find_images
from impasto.losses import PerceptualLoss
from impasto.methods import method_of
from impasto.run_folders import RunFolder
from impasto.trained import load_named

Source = Callable[[Found, Tensor], Tensor]  # from a photograph's file and its pixels (3, H, W) to a picture


def build_comparison(cfg: DictConfig) -> Comparison:
    """Build the comparison of `cfg.evaluation`, with the functions that its fields "build" and "source_of" ask for."""
    kinds: dict[str, list[object]] = {"style": [], "features": [], "loss": [PerceptualLoss]}
    require(cfg, **{group: wanted for group, wanted in kinds.items() if group in cfg.evaluation})
    kind: type[Comparison] = get_class(cfg.evaluation._target_)
    offered = {"build": instantiate, "source_of": source_of}
    given = {name: function for name, function in offered.items() if name in kind.model_fields}
    try:
        comparison: Comparison = instantiate(cfg.evaluation, **given, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ValidationError):
            raise ValueError(in_sentences(error.__cause__, within="evaluation.")) from error
        raise
    return comparison


def source_of(text: str, name: str, device: str) -> Source:
    """Find what a user means by a method, whose name is for messages, and which runs on a device.

    The text is `photograph`, `grey`, what `load_named` knows, or a folder of results; all else is refused.
    """
    if text == "photograph":
        return lambda _, photo: photo
    if text == "grey":
        return lambda _, photo: tinted(photo, torch.zeros(1, 2, 1, 1))
    folder = Path(text).expanduser()
    if folder.is_dir() and not RunFolder(folder).network_file.is_file():
        return _results(folder, name)
    try:
        method = method_of(load_named(text), partial(eager, precision=torch.float32, device=device))
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"methods.{name}: {error}") from error
    return lambda _, photo: method(photo[None])[0].image


def _results(folder: Path, name: str) -> Source:
    """Results that were made elsewhere, named as their photographs; the suffix may be another."""
    files: dict[Path, list[Path]] = defaultdict(list)
    for path, result in find_images(folder):
        files[result.with_suffix("")].append(path)
    owners: dict[Path, Path] = {}

    def source(item: Found, photo: Tensor) -> Tensor:
        paths = files.get(item.name.with_suffix("")) or files.get(Path(item.name.stem)) or []
        paths = [path for path in paths if path.name == item.name.name] or paths
        if len(paths) != 1:
            found = " and ".join(map(str, paths)) or "none"
            raise ValueError(f"methods.{name}: expected one result for {item.name} in {folder}, got {found}")
        owner = owners.setdefault(paths[0], item.name)
        if owner != item.name:
            raise ValueError(f"methods.{name}: {paths[0]} would be the result of both {owner} and {item.name}")
        return read_image(paths[0])

    return source
