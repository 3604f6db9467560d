"""scikit-image's sample photographs: real photographs on every machine that has the package, nothing downloaded."""

from collections.abc import Sequence
from pathlib import Path

import skimage.data


def sample_path(name: str) -> str:
    """Return the path of one of scikit-image's own files, such as "chelsea.png"."""
    return str(Path(skimage.data.__file__).parent / name)


def sample_paths(names: Sequence[str]) -> list[str]:
    """Return the paths of several of scikit-image's own files, for `Photographs`."""
    return [sample_path(name) for name in names]
