"""Tests of MS-COCO's layout and of its download, which here copies a small archive."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from PIL import Image

from impasto.build.tasks import held_out
from impasto.data import Coco, Squeeze

SPLITS = ("train2017", "val2017")


def _photographs(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (40, 30), (10 * number, 128, 200)).save(folder / f"{number:012d}.jpg")
    return folder


def _coco(root: Path, **options: Any) -> Coco:
    settings: dict[str, Any] = {
        "root": str(root),
        "year": "2017",
        "download": False,
        "train_transform": Squeeze(size=16),
        "val_transform": Squeeze(size=16),
        "batch_size": 2,
        "num_workers": 0,
        "seed": 0,
        "val_limit": None,
        "skip": None,
    }
    return Coco(**(settings | options))


class _Server:
    """Stands for the server: copies archives, compares checksums as torchvision does, and counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.urls: list[str] = []

    def download(self, url: str, root: str, filename: str | None = None, md5: str | None = None) -> None:
        """Take the place of torchvision's `download_url`."""
        self.urls.append(url)
        name = filename or url.rsplit("/", 1)[1]
        content = (self.folder / name).read_bytes()
        Path(root).mkdir(parents=True, exist_ok=True)
        (Path(root) / name).write_bytes(content)
        if hashlib.md5(content).hexdigest() != md5:
            raise RuntimeError("File not found or corrupted.")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Server:
    """A server with both splits of 2017, two photographs each, whose checksums are the known ones."""
    folder, sums = tmp_path / "server", {}
    for split in SPLITS:
        photographs = _photographs(tmp_path / "source" / split, 2)
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            archive.writestr(f"{split}/", "")
            for path in sorted(photographs.iterdir()):
                archive.write(path, f"{split}/{path.name}")
        sums[split] = hashlib.md5((folder / f"{split}.zip").read_bytes()).hexdigest()
    stand_in = _Server(folder)
    monkeypatch.setattr("impasto.data.photographs._MD5", sums)
    monkeypatch.setattr("torchvision.datasets.utils.download_url", stand_in.download)
    return stand_in


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ---------------------------------------------------------------- layout


@pytest.mark.parametrize("year", ["2014", "2017"])
def test_photographs_are_found_in_cocos_own_layout(tmp_path: Path, year: str) -> None:
    _photographs(tmp_path / f"train{year}", 5)
    _photographs(tmp_path / f"val{year}", 3)
    data = _coco(tmp_path, year=year, val_limit=2)
    data.prepare_data()
    data.setup("fit")
    assert {path.parent.name for path in data.train_paths} == {f"train{year}"}
    assert len(data.train_paths) == 5
    assert {path.parent.name for path in data.val_paths} == {f"val{year}"}
    assert len(data.val_paths) == 2
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (2, 16, 16, 3)
    assert batch.image.dtype == torch.uint8


@pytest.mark.parametrize("missing", SPLITS)
def test_missing_split_is_named_with_what_to_do(tmp_path: Path, missing: str) -> None:
    for split in SPLITS:
        if split != missing:
            _photographs(tmp_path / split, 1)
    with pytest.raises(FileNotFoundError, match=rf"no folder .*{missing}; give data\.root=.*data\.download=true"):
        _coco(tmp_path).prepare_data()


def test_unknown_year_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected data\.year=2014 or data\.year=2017, got 2016"):
        _coco(tmp_path, year="2016")


# ---------------------------------------------------------------- download


def test_download_fetches_and_unpacks_what_is_missing(tmp_path: Path, server: _Server) -> None:
    root = tmp_path / "new" / "coco"
    data = _coco(root, download=True)
    data.prepare_data()
    assert server.urls == [f"http://images.cocodataset.org/zips/{split}.zip" for split in SPLITS]
    photographs = [f"{split}/{number:012d}.jpg" for split in SPLITS for number in range(2)]
    assert _names(root) == sorted([*SPLITS, *photographs])
    data.setup("fit")
    assert len(data.train_paths) == len(data.val_paths) == 2


def test_download_leaves_alone_what_is_there(tmp_path: Path, server: _Server) -> None:
    root = tmp_path / "coco"
    _photographs(root / "train2017", 3)
    _coco(root, download=True).prepare_data()
    assert server.urls == ["http://images.cocodataset.org/zips/val2017.zip"]
    assert len(list((root / "train2017").iterdir())) == 3
    _coco(root, download=True).prepare_data()
    assert len(server.urls) == 1


def test_wrong_checksum_says_what_to_do_and_unpacks_nothing(tmp_path: Path, server: _Server) -> None:
    root = tmp_path / "coco"
    archive = server.folder / "train2017.zip"
    archive.write_bytes(archive.read_bytes() + b"changed on the way")
    with pytest.raises(ConnectionError, match=r"could not download .*train2017\.zip.*; unpack it into"):
        _coco(root, download=True).prepare_data()
    assert not [path for path in root.iterdir() if path.is_dir()]


@pytest.mark.parametrize("error", [URLError("no network"), TimeoutError("too slow"), ConnectionResetError("cut")])
def test_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fail)
    with pytest.raises(ConnectionError, match="; unpack it into"):
        _coco(tmp_path, download=True).prepare_data()
    assert list(tmp_path.iterdir()) == []


def test_split_appears_only_when_it_is_complete(
    tmp_path: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "coco"
    (root / "train2017").mkdir(parents=True)

    def stop_half_way(archive: str, folder: str, remove: bool) -> None:
        with zipfile.ZipFile(archive) as file:
            file.extract(file.namelist()[1], folder)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full_disk:
        full_disk.setattr("torchvision.datasets.utils.extract_archive", stop_half_way)
        with pytest.raises(OSError, match="No space left"):
            _coco(root, download=True).prepare_data()
    assert not (root / "val2017").exists()
    _coco(root, download=True).prepare_data()
    assert _names(root) == ["train2017", "val2017", f"val2017/{0:012d}.jpg", f"val2017/{1:012d}.jpg"]


def test_photographs_are_fetched_before_a_loss_is_scaled_on_them(server: _Server, tmp_path: Path) -> None:
    assert held_out(_coco(tmp_path / "coco", download=True), 1).shape == (1, 3, 16, 16)
