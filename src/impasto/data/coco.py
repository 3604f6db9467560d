"""MS-COCO in its own layout: <root>/train2017/*.jpg and <root>/val2017/*.jpg, or 2014."""

import logging
from pathlib import Path
from typing import Unpack
from urllib.error import URLError

from torchvision.datasets.utils import check_md5, download_url, extract_archive

from impasto.data.photographs import Loading, Photographs
from impasto.suggest import did_you_mean

log = logging.getLogger(__name__)

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
        loading: as `Loading` says.

    Raises:
        FileNotFoundError: a split that is not there and not to be downloaded (raised by `prepare_data`).
        ValueError: another year.
    """

    def __init__(self, *, root: str, year: str, download: bool, **loading: Unpack[Loading]) -> None:
        self.splits = [f"train{year}", f"val{year}"]
        if self.splits[0] not in _MD5:
            raise ValueError(f"COCO has no year '{year}'{did_you_mean(str(year), ['2014', '2017'])}")
        self.root, self.download = Path(root).expanduser(), download
        train, val = ([str(self.root / split)] for split in self.splits)
        super().__init__(train=train, val=val, **loading)

    def prepare_data(self) -> None:
        """Download and unpack what is missing."""
        missing = [split for split in self.splits if not (self.root / split).is_dir()]
        if missing and not self.download:
            raise FileNotFoundError(
                f"no folder {self.root / missing[0]}; give data.root=<folder with {' and '.join(self.splits)}>, "
                "or data.download=true to fetch it (19 GB)"
            )
        for split in missing:
            download_split(split, self.root)


def download_split(split: str, root: Path) -> None:
    """Download one split, compare its checksum, unpack it and remove the archive.

    Its folder below `root` appears only when it is complete. A failed download is a ConnectionError.
    """
    url, archive = _URL.format(split=split), root / f"{split}.zip"
    if not (archive.is_file() and check_md5(str(archive), _MD5[split])):
        try:
            download_url(url, str(root), md5=_MD5[split])  # shows its progress
        except (URLError, RuntimeError, TimeoutError, ConnectionError) as error:
            raise ConnectionError(
                f"could not download {url} ({error}); fetch it by other means, unpack it into {root} and leave "
                "data.download=false"
            ) from error
    unpacking = root / f".{split}.part"
    log.info("unpacking %s", archive)
    extract_archive(str(archive), str(unpacking))
    (unpacking / split).rename(root / split)
    unpacking.rmdir()
    archive.unlink()
