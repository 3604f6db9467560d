"""MS-COCO in its own layout: <root>/train2017/*.jpg and <root>/val2017/*.jpg, or 2014."""

from pathlib import Path
from typing import Unpack
from urllib.error import URLError

from torchvision.datasets.utils import download_and_extract_archive

from impasto.data.photographs import Loading, Photographs

_URL = "http://images.cocodataset.org/zips/{split}.zip"
_MD5 = {
    "train2014": "0da8c0bd3d6becc4dcb32757491aca88",  # 13 GB, 82,783 photographs
    "val2014": "a3d79f5ed8d289b7a7554ce06a5782b3",  # 6 GB, 40,504
    "train2017": "cced6f7f71b7629ddf16f17bbcfab6b2",  # 18 GB, 118,287
    "val2017": "442b8da7639aecaf257c1dceb8ba8c80",  # 1 GB, 5,000
}


class Coco(Photographs):
    """The photographs of MS-COCO (Lin 2014).

    Args:
        root: the folder that holds `train2017` and so on.
        year: "2014" (the paper's 80,000) or "2017" (the same photographs, split anew).
        download: fetch and unpack what is missing, checksums compared; 19 GB for either year.

    Raises:
        OSError: a split that is neither there nor to be downloaded, or a failed download (raised by `prepare_data`).
    """

    def __init__(self, *, root: str, year: str, download: bool, **loading: Unpack[Loading]) -> None:
        self.splits = [f"train{year}", f"val{year}"]
        if self.splits[0] not in _MD5:
            raise ValueError(f"expected data.year=2014 or data.year=2017, got {year}")
        self.root, self.download = Path(root).expanduser(), download
        train, val = ([str(self.root / split)] for split in self.splits)
        super().__init__(train=train, val=val, **loading)

    def prepare_data(self) -> None:
        """Download and unpack what is missing; a split's folder appears only when it is complete."""
        for split in self.splits:
            if (self.root / split).is_dir():
                continue
            if not self.download:
                advice = f"data.root=<folder with {' and '.join(self.splits)}>, or data.download=true (19 GB)"
                raise FileNotFoundError(f"no folder {self.root / split}; give {advice}")
            url, part = _URL.format(split=split), self.root / f".{split}.part"
            try:
                download_and_extract_archive(url, str(self.root), str(part), md5=_MD5[split], remove_finished=True)
            except (URLError, RuntimeError, TimeoutError, ConnectionError) as error:
                raise ConnectionError(f"could not download {url} ({error}); unpack it into {self.root}") from error
            (part / split).rename(self.root / split)
            part.rmdir()
