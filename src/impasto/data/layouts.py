"""Photographs of scenes as they lie on disks: class folders, torchvision's Places365, the lists of Places205."""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import torch
from torchvision.datasets import Places365

from impasto.listing import find_images

UNKNOWN = -1  # the label of a photograph whose scene is not known
_REMEDY = "data.layout.download=true fetches it; data=scenes reads train/<class>/ and val/<class>/"

_Tree = dict[str, list[Path]]  # photographs by class


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
        FileNotFoundError: no such folder, or `val` without `train`.
        ValueError: no class folders, an empty one, or other classes in `val` than in `train`.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; expected one with train/<class>/ and val/<class>/")
    if not 0 < val_part < 1:
        raise ValueError(f"expected val_part between 0 and 1, got {val_part}")
    train, val = root / "train", root / "val"
    if val.is_dir() and not train.is_dir():
        raise FileNotFoundError(f"no folder {train} beside {val}")
    if not val.is_dir():
        return _split(train if train.is_dir() else root, val_part, seed)
    found, held_out = _tree(train), _tree(val)
    if odd := sorted(found.keys() ^ held_out.keys()):
        raise ValueError(
            f"{train} and {val} hold different classes: '{odd[0]}' is only in {train if odd[0] in found else val}"
            + (f", and {len(odd) - 1} more differ" if odd[1:] else "")
        )
    return Layout(list(found), _labelled(found), _labelled(held_out))


def _tree(folder: Path) -> _Tree:
    """Search class folders; an empty one is an error, for it is more often a mistake than meant."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise ValueError(f"{folder} holds no class folders; expected {folder}/<class>/")
    return {name: [found.path for found in find_images(folder / name)] for name in names}


def _labelled(tree: _Tree) -> list[Labelled]:
    return [Labelled(path, label) for label, paths in enumerate(tree.values()) for path in paths]


def _split(folder: Path, val_part: float, seed: int) -> Layout:
    tree, train, val = _tree(folder), _Tree(), _Tree()
    for name, paths in tree.items():
        if len(paths) < 2:
            raise ValueError(f"class folder {folder / name} holds one photograph; expected two, one to hold out")
        held_out = min(max(1, round(len(paths) * val_part)), len(paths) - 1)
        order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
        val[name] = [paths[index] for index in sorted(order[:held_out])]
        train[name] = [paths[index] for index in sorted(order[held_out:])]
    return Layout(list(tree), _labelled(train), _labelled(val))


def places365(root: Path, *, small: bool, download: bool) -> Layout:
    """Find Places365 as torchvision keeps it: its lists, `data_256_standard` or `data_large_standard`, `val_256`, ...

    Args:
        root: the folder that holds them.
        small: 256 x 256 px (26 GB) or the originals (107 GB).
        download: fetch what is missing, checksums compared.

    Raises:
        FileNotFoundError: it is not there and not to be downloaded.
        ConnectionError: the download failed or a checksum is wrong.
    """
    if download:
        root.mkdir(parents=True, exist_ok=True)
    found = []
    for split in ("train-standard", "val"):
        try:
            found.append(Places365(str(root), split=split, small=small, download=download))
        except (URLError, TimeoutError, ConnectionError, RuntimeError) as error:
            if not download:  # a list that is missing or has another checksum
                what = str(error).partition(" You can")[0].rstrip(".")
                raise FileNotFoundError(f"no Places365 in {root}: {what}; {_REMEDY}") from error
            raise ConnectionError(
                f"could not download Places365 into {root} ({error}); fetch it by other means and leave "
                "data.layout.download=false"
            ) from error
        if not Path(found[-1].images_dir).is_dir():
            raise FileNotFoundError(f"no Places365 photographs: no folder {found[-1].images_dir}; {_REMEDY}")
    train, val = ([Labelled(Path(path), label) for path, label in split.imgs] for split in found)
    numbers = found[0].class_to_idx
    return Layout([name[3:] for name in sorted(numbers, key=numbers.__getitem__)], train, val)  # "/a/airfield"


def places205(root: Path, *, images: str, train: str, val: str, classes: str) -> Layout:
    """Find photographs by lists, as Places205 has them.

    Args:
        root: the folder of the lists.
        images: folder that the listed paths are in, below `root`.
        train: list with a path and a label a line, "a/abbey/gsun_0003.jpg 0".
        val: likewise.
        classes: list with a class and its label a line, "/a/abbey 0".

    Raises:
        FileNotFoundError: a list, or a photograph that a list names.
        ValueError: a line that is not a name and a number, or a label outside the classes.
    """
    pairs = sorted(_pairs(root / classes), key=lambda pair: pair[1])
    if not pairs:
        raise ValueError(f"{root / classes} lists no classes")
    if [label for _, label, _ in pairs] != list(range(len(pairs))):
        raise ValueError(f"{root / classes} does not number its {len(pairs)} classes from 0 to {len(pairs) - 1}")
    names = [name.strip("/").split("/", 1)[-1] for name, _, _ in pairs]
    return Layout(names, *(_listed(root / file, root / images, len(names)) for file in (train, val)))


def _listed(file: Path, images: Path, classes: int) -> list[Labelled]:
    found = []
    for name, label, line in _pairs(file):
        if not 0 <= label < classes:
            raise ValueError(f"{file}, line {line}: label {label} of {name}; expected 0 to {classes - 1}")
        path = images / name
        if not path.is_file():
            raise FileNotFoundError(f"{file}, line {line}: no photograph {path}")
        found.append(Labelled(path, label))
    if not found:
        raise ValueError(f"{file} lists no photographs")
    return found


def _pairs(file: Path) -> list[tuple[str, int, int]]:
    """Return the name, number and line number of each line; comma or space separates them."""
    if not file.is_file():
        raise FileNotFoundError(f"no list {file}")
    pairs = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        pair = re.fullmatch(r"(.*[^\s,])[\s,]+(-?\d+)", line.strip())
        if pair is None:
            raise ValueError(f"{file}, line {number}: expected a name and a number, got '{line.strip()[:100]}'")
        pairs.append((pair[1], int(pair[2]), number))
    return pairs
