"""Shards: every photograph once in an epoch, resumed bitwise, damage skipped and named, object stores."""

import itertools
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.data import Batch, CentreCrop, RandomCrop, Shards
from impasto.data.batches import PhotographDataset
from impasto.data.layouts import Labelled
from impasto.data.packing import Packing, pack

TRAIN, VAL = 23, 5


def _photographs(folder: Path, labels: range) -> list[Labelled]:
    folder.mkdir(parents=True)
    items = []
    for label in labels:
        pixels = np.random.default_rng(label).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        items.append(Labelled(folder / f"photo_{label}.png", label))
        Image.fromarray(pixels).save(items[-1].path)
    return items


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 photographs, each a scene of its own so that its label says which it is; and their shards."""
    folder = tmp_path_factory.mktemp("original")
    splits = {
        "train": _photographs(folder / "train", range(TRAIN)),
        "val": _photographs(folder / "val", range(TRAIN, TRAIN + VAL)),
    }
    classes = [f"class {n}" for n in range(TRAIN + VAL)]
    size = splits["train"][0].path.stat().st_size
    for split, items in splits.items():
        pack(items, folder / "shards" / split, Packing(classes, None, 5 * size, 0, {}, lambda done: None))
    return folder


@pytest.fixture
def packed(original: Path, tmp_path: Path) -> Path:
    """A copy of the shards, in a folder with the photographs."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path / "shards"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of what lies in a store are made in a folder of the test."""
    monkeypatch.setattr("litdata.constants._LITDATA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("litdata.utilities.dataset_utilities._LITDATA_CACHE_DIR", str(tmp_path / "cache"))


def _data(urls: Path | str, *, step: int = 0, rank: int = 0, processes: int = 1, **options: Any) -> Shards:
    settings: dict[str, Any] = {
        "urls": str(urls),
        "train_transform": RandomCrop(size=8, scale=0.5, flip=True),
        "val_transform": CentreCrop(size=12),
        "batch_size": 2,
        "num_workers": 0,
        "seed": 3,
        "val_limit": None,
        "skip": None,
    }
    data = Shards(**(settings | options))
    trainer: Any = SimpleNamespace(
        global_step=step, accumulate_grad_batches=1, num_devices=1, global_rank=rank, world_size=processes
    )
    data.trainer = trainer
    return data


def _take(count: int, urls: Path | str, **options: Any) -> list[Batch]:
    data = _data(urls, **options)
    data.setup("fit")
    return list(itertools.islice(data.train_dataloader(), count))


def _labels(batches: list[Batch]) -> list[int]:
    return [int(label) for batch in batches for label in batch.label]


def _same(ours: list[Batch], theirs: list[Batch]) -> bool:
    pairs = list(zip(ours, theirs, strict=True))
    return all(torch.equal(a.image, b.image) and torch.equal(a.label, b.label) for a, b in pairs)


def _spoil(folder: Path, photograph: Path) -> None:
    """Damage a photograph where it lies in a shard: some bytes in the middle of its file."""
    content = photograph.read_bytes()
    for shard in folder.glob("*.bin"):
        whole = shard.read_bytes()
        if (at := whole.find(content)) >= 0:
            middle = at + len(content) // 2
            shard.write_bytes(whole[:middle] + b"\xff\xfe\xfd" + whole[middle + 3 :])
            return
    raise AssertionError(photograph)


# ---------------------------------------------------------------- order, resume


def test_every_photograph_comes_once_in_a_round_shard_by_shard_and_rounds_differ(packed: Path) -> None:
    data = _data(packed, batch_size=23)
    first, second = (batch.label.tolist() for batch in itertools.islice(data.train_dataloader(), 2))
    assert sorted(first) == sorted(second) == list(range(TRAIN))
    assert first != second
    sizes = data.index["train"].photographs
    assert len(sizes) > 2
    firsts = [0, *itertools.accumulate(sizes)]
    shards = [next(n for n, size in enumerate(sizes) if label < firsts[n] + size) for label in first]
    assert len([shard for shard, _ in itertools.groupby(shards)]) == len(sizes)
    assert _labels(_take(1, packed, batch_size=23, seed=4)) != first
    assert not torch.equal(_take(1, packed)[0].image, _take(1, packed, seed=4)[0].image)


# A machine with one core is advised against two workers: https://github.com/pytorch/pytorch/pull/46867
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_stream_equals_the_uninterrupted_one(
    packed: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    whole = _take(20, packed)
    for step in (1, 12):
        assert _same(_take(20 - step, packed, step=step, num_workers=workers), whole[step:])


def test_two_processes_share_out_the_photographs(packed: Path) -> None:
    first, second = (_labels(_take(5, packed, rank=rank, processes=2)) for rank in (0, 1))
    assert len({*first, *second}) == 20


# ---------------------------------------------------------------- damage


def test_a_damaged_photograph_is_named_and_others_stand_in(
    packed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = _take(11, packed)
    bad = _labels(sound)[4]
    _spoil(packed / "train", tmp_path / f"train/photo_{bad}.png")
    found = _take(11, packed)
    assert bad not in _labels(found)
    assert [a for a, b in zip(_labels(sound), _labels(found), strict=True) if a != b] == [bad]  # nothing shifts
    assert f"left out: photo_{bad}.png is damaged: its checksum" in caplog.text
    assert _same(_take(7, packed, step=4), found[4:])


def test_what_is_to_be_skipped_is_left_out(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "skip.txt").write_text("photo_3.png\nphoto_24.png\n")
    data = _data(packed, skip=str(tmp_path / "skip.txt"))
    assert 3 not in _labels(list(itertools.islice(data.train_dataloader(), 11)))
    assert 24 not in _labels(list(data.val_dataloader()))


def test_shards_of_which_nothing_can_be_read_are_an_error(packed: Path, tmp_path: Path) -> None:
    for photograph in (tmp_path / "train").iterdir():
        _spoil(packed / "train", photograph)
    with pytest.raises(ValueError, match="none of the 23 photographs can be read"):
        _take(1, packed)


def test_a_missing_or_truncated_shard_is_an_error_before_anything_is_read(packed: Path) -> None:
    shard = sorted((packed / "val").glob("*.bin"))[0]
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(ValueError, match=rf"{shard.name} has {size - 5} bytes; index\.json says {size}"):
        _data(packed).setup("fit")
    shard.unlink()
    with pytest.raises(ValueError, match=rf"shard .*{shard.name} is missing$"):
        _data(packed).setup("fit")


@pytest.mark.parametrize("text", ["{", "[]", '{"chunks": []}'])
def test_what_is_no_index_is_named(packed: Path, text: str) -> None:
    (packed / "train/index.json").write_text(text)
    with pytest.raises(ValueError, match=r"train/index\.json is not an index that 'impasto pack' finished"):
        _data(packed).setup("fit")


def test_pickles_are_refused(packed: Path) -> None:
    index = json.loads((packed / "train/index.json").read_text())
    index["config"]["data_format"][0] = "pickle"
    (packed / "train/index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="lists no shards of 'impasto pack'"):
        _data(packed).setup("fit")


def test_shards_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no .*/index\.json; 'impasto pack' writes it"):
        _data(tmp_path).setup("fit")
    with pytest.raises(ConnectionError, match=r"local:/nowhere/train/index\.json cannot be read"):
        _data("local:/nowhere").setup("fit")


def test_an_address_that_litdata_does_not_read_is_named() -> None:
    with pytest.raises(ValueError, match=r"an address that begins with s3://, .*, got https://host/shards/train"):
        _data("https://host/shards").setup("fit")


# ---------------------------------------------------------------- validation, samples, stores


def test_validation_reads_the_same_as_files(packed: Path, tmp_path: Path) -> None:
    batches = list(_data(packed).val_dataloader())
    paths = sorted((tmp_path / "val").iterdir())
    files = PhotographDataset(paths, range(TRAIN, TRAIN + VAL), CentreCrop(size=12))
    assert [len(batch.image) for batch in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([b.image for b in batches]), torch.stack([files[n].image for n in range(VAL)]))
    assert _labels(batches) == list(range(TRAIN, TRAIN + VAL))
    assert _labels(list(_data(packed, val_limit=2).val_dataloader())) == [TRAIN, TRAIN + 2]


def test_samples_are_spread_evenly_and_broken_ones_replaced(packed: Path, tmp_path: Path) -> None:
    assert [name for name, _ in itertools.islice(_data(packed).sample_photographs(2), 2)] == ["photo_23", "photo_25"]
    _spoil(packed / "val", tmp_path / "val/photo_23.png")
    found = list(itertools.islice(_data(packed).sample_photographs(2), 2))
    assert [name for name, _ in found] == ["photo_25", "photo_24"]
    assert found[0][1].shape == (3, 20, 24)


def test_an_object_store_streams_the_same(packed: Path, tmp_path: Path) -> None:
    store = f"local:{packed}"
    assert _data(store).classes == _data(packed).classes
    assert _same(_take(15, store), _take(15, packed))
    assert _same(list(_data(store).val_dataloader()), list(_data(packed).val_dataloader()))
    assert list((tmp_path / "cache").rglob("*.bin"))
