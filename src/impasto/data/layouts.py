"""Photographs of scenes as they lie on disks: class folders, Places365's, Places205's lists; and scikit-image's own."""

from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import skimage.data
import torch
from torchvision.datasets import Places365

from impasto.listing import find_images

UNKNOWN = -1  # the label of a photograph whose scene is not known
_REMEDY = "data.layout.download=true fetches it; data=scenes reads train/<class>/ and val/<class>/"


class Labelled(NamedTuple):
    """A photograph's file and the index of its scene."""

    path: Path
    label: int


class Layout(NamedTuple):
    """A data set of photographs."""

    classes: list[str]  # names of the scenes; labels are indices into it; empty where no scenes are known
    train: list[Labelled]  # photographs to train on
    val: list[Labelled]  # held out


def class_folders(root: Path, *, val_part: float, seed: int) -> Layout:
    """Find `train/<class>/` and `val/<class>/`, as Places365 unpacks; or one tree of class folders, which is split.

    Args:
        root: the folder with `train` and `val`, or with the class folders.
        val_part: of each class, where there is no `val`; at least one photograph, and not all.
        seed: of that split.

    Raises:
        ValueError: no class folders, an empty one, or other classes in `val` than in `train`.
        FileNotFoundError: no such folder, or `val` without `train`.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; expected one with train/<class>/ and val/<class>/")
    if not 0 < val_part < 1:
        raise ValueError(f"expected val_part between 0 and 1, got {val_part}")
    train, val = root / "train", root / "val"
    if val.is_dir() and not train.is_dir():
        raise FileNotFoundError(f"no folder {train} beside {val}")
    folder = train if train.is_dir() else root
    found, held_out = _tree(folder), _tree(val) if val.is_dir() else {}
    if not val.is_dir():
        for name, paths in found.items():
            if len(paths) < 2:
                raise ValueError(f"class folder {folder / name} holds one photograph; expected two, one to hold out")
            count = min(max(1, round(len(paths) * val_part)), len(paths) - 1)
            order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
            held_out[name] = [paths[index] for index in sorted(order[:count])]
            found[name] = [paths[index] for index in sorted(order[count:])]
    if odd := sorted(found.keys() ^ held_out.keys()):
        where = train if odd[0] in found else val
        raise ValueError(f"{train} and {val} hold different classes: '{odd[0]}' is only in {where}")
    train_items, val_items = (
        [Labelled(path, label) for label, paths in enumerate(tree.values()) for path in paths]
        for tree in (found, held_out)
    )
    return Layout(list(found), train_items, val_items)


def _tree(folder: Path) -> dict[str, list[Path]]:
    """Search class folders; an empty one is an error, for it is more often a mistake than meant."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise ValueError(f"{folder} holds no class folders; expected {folder}/<class>/")
    return {name: [found.path for found in find_images(folder / name)] for name in names}


def places365(root: Path, *, small: bool, download: bool) -> Layout:
    """Find Places365 as torchvision keeps it: its lists, `data_256_standard` or `data_large_standard`, `val_256`, ...

    Args:
        root: the folder that holds them.
        small: 256 x 256 px (26 GB) or the originals (107 GB).
        download: fetch what is missing, checksums compared.

    Raises:
        OSError: it is neither there nor to be downloaded, or the download failed.
    """
    if download:
        root.mkdir(parents=True, exist_ok=True)
    parts = []
    for split in ("train-standard", "val"):
        try:
            parts.append(Places365(str(root), split=split, small=small, download=download))
        except (URLError, TimeoutError, ConnectionError, RuntimeError) as error:
            what = str(error).partition(" You can")[0].rstrip(".")
            if download:
                raise ConnectionError(f"could not download Places365 into {root} ({what}); fetch it by hand") from error
            raise FileNotFoundError(f"no Places365 in {root}: {what}; {_REMEDY}") from error
        if not Path(parts[-1].images_dir).is_dir():
            raise FileNotFoundError(f"no Places365 photographs: no folder {parts[-1].images_dir}; {_REMEDY}")
    train, val = ([Labelled(Path(path), label) for path, label in part.imgs] for part in parts)
    numbers = parts[0].class_to_idx
    return Layout([name[3:] for name in sorted(numbers, key=numbers.__getitem__)], train, val)  # "/a/airfield"


def places205(root: Path, *, images: str, train: str, val: str, classes: str) -> Layout:
    """Find photographs by lists, as Places205 has them; a FileNotFoundError or a ValueError says what is wrong in them.

    Args:
        root: the folder of the lists.
        images: folder that the listed paths are in, below `root`.
        train: list with a path and a label a line, "a/abbey/gsun_0003.jpg 0".
        val: likewise.
        classes: list with a class and its label a line, "/a/abbey 0".
    """
    numbered = sorted(_listed(root / classes), key=itemgetter(1))
    if [label for _, label in numbered] != list(range(len(numbered))):
        raise ValueError(f"{root / classes} does not number its {len(numbered)} classes from 0 to {len(numbered) - 1}")
    parts = [[Labelled(root / images / name, label) for name, label in _listed(root / file)] for file in (train, val)]
    for path, label in (*parts[0], *parts[1]):
        if not 0 <= label < len(numbered):
            raise ValueError(f"label {label} of {path} in the lists of {root}; expected 0 to {len(numbered) - 1}")
    return Layout([name.strip("/").split("/", 1)[-1] for name, _ in numbered], *parts)


def _listed(file: Path) -> list[tuple[str, int]]:
    """Return the name and the number of each line."""
    lines = [line for line in file.read_text(encoding="utf-8-sig", errors="replace").split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"{file} lists nothing")
    try:
        return [(name, int(number)) for name, number in (line.rsplit(maxsplit=1) for line in lines)]
    except ValueError as error:
        raise ValueError(f"{file}: expected a name and a number on each line ({error})") from error


def sample_path(name: str) -> str:
    """Return the path of one of scikit-image's own photographs, such as "chelsea.png": on every machine that has it."""
    return str(Path(skimage.data.__file__).parent / name)


def sample_paths(names: Sequence[str]) -> list[str]:
    """Return the paths of several of them, for `Photographs`."""
    return [sample_path(name) for name in names]
