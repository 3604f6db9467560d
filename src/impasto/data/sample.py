"""scikit-image's sample photographs: real photographs on every machine that has the package."""

from collections.abc import Sequence
from pathlib import Path

import skimage.data

from impasto.data.photographs import Photographs, Transform


class Sample(Photographs):
    """Photographs that come with scikit-image; no download.

    Args:
        train: file names, such as "coffee.png".
        val: likewise, held out.
        train_transform: to squares of one size.
        val_transform: likewise, nothing random.
        batch_size: photographs in a batch.
        num_workers: processes that read; 0 reads in the training process.
        seed: of order and crops.
    """

    def __init__(
        self,
        *,
        train: Sequence[str],
        val: Sequence[str],
        train_transform: Transform,
        val_transform: Transform,
        batch_size: int,
        num_workers: int,
        seed: int,
    ) -> None:
        super().__init__(
            train=[sample_path(name) for name in train],
            val=[sample_path(name) for name in val],
            train_transform=train_transform,
            val_transform=val_transform,
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            val_limit=None,
            skip=None,
        )


def sample_path(name: str) -> str:
    """Return the path of one of scikit-image's own files, such as "chelsea.png".

    Only files that the package itself holds are found; nothing is downloaded.
    """
    return str(Path(skimage.data.__file__).parent / name)
