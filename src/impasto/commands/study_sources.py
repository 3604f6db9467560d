"""Where the pictures of a study come from: the photograph itself, a network, or a folder of results."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from impasto.engines import eager
from impasto.evaluation.colour import tinted
from impasto.images import read_image
from impasto.listing import Found, find_images
from impasto.methods import method_of
from impasto.run_folders import RunFolder
from impasto.runs import load_named

Source = Callable[[Found, Tensor], Tensor]  # from a photograph's file and its pixels (3, H, W) to a picture


def source_of(text: str, name: str, device: str) -> Source:
    """Find what a user means by a method.

    Args:
        text: `photograph`, `grey`, a shipped network, a run folder, a network file, or a folder of results.
        name: of the method, for messages.
        device: where a network runs.

    Raises:
        FileNotFoundError: none of these.
        ValueError: a file that holds no network of ours.
    """
    plain: dict[str, Source] = {
        "photograph": lambda _, photo: photo,
        "grey": lambda _, photo: tinted(photo, torch.zeros(1, 2, 1, 1)),
    }
    if text in plain:
        return plain[text]
    folder = Path(text).expanduser()
    if is_results(folder):
        return _results(folder, name)
    try:
        method = method_of(load_named(text), partial(eager, precision=torch.float32, device=device))
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"methods.{name}: {error}") from error
    return lambda _, photo: method(photo[None])[0].image


def is_results(folder: Path) -> bool:
    """Whether a folder holds results, and not a run with its network."""
    return folder.is_dir() and not RunFolder(folder).network_file.is_file()


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
