"""Tests of photographs as data: endless batches, unreadable files, folders and lists."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from impasto.chance import generator_of
from impasto.data import Batch, CentreCrop, Photographs, RandomCrop
from impasto.data.batches import Draw, EndlessBatches, PhotographDataset
from impasto.images import read_image


def _write(path: Path, seed: int, *, size: tuple[int, int] = (40, 36)) -> Path:
    """A small noise photograph whose file name tells its seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = torch.randint(0, 256, (*size, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).save(path)
    return path


def _folder(folder: Path, count: int, *, prefix: str = "") -> Path:
    for seed in range(count):
        _write(folder / f"{prefix}{seed:02d}.png", seed)
    return folder


def _data(train: Path | list[str], val: Path | list[str], **options: Any) -> Photographs:
    settings: dict[str, Any] = {
        "train": [str(train)] if isinstance(train, Path) else train,
        "val": [str(val)] if isinstance(val, Path) else val,
        "train_transform": RandomCrop(size=16, scale=0.5, flip=True),
        "val_transform": CentreCrop(size=24),
        "batch_size": 2,
        "num_workers": 0,
        "seed": 3,
        "val_limit": None,
        "skip": None,
    }
    return Photographs(**(settings | options))


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """Five photographs to train on."""
    return _folder(tmp_path / "train", 5, prefix="t")


@pytest.fixture
def val(tmp_path: Path) -> Path:
    """Three photographs held out."""
    return _folder(tmp_path / "val", 3, prefix="v")


# ---------------------------------------------------------------- EndlessBatches


def _batches(
    photographs: int = 7, batch_size: int = 3, *, seed: int = 0, first: int = 0, rank: int = 0, world_size: int = 1
) -> Iterator[list[Draw]]:
    return iter(EndlessBatches(photographs, batch_size, seed=seed, first=first, rank=rank, world_size=world_size))


def _draws(count: int, batches: Iterator[list[Draw]]) -> list[Draw]:
    return list(itertools.islice(itertools.chain.from_iterable(batches), count))


@pytest.mark.parametrize(("photographs", "batch_size"), [(7, 3), (8, 4), (1, 2), (3, 10)])
def test_every_photograph_comes_once_in_each_round(photographs: int, batch_size: int) -> None:
    draws = _draws(5 * photographs, _batches(photographs, batch_size))
    for turn in range(5):
        indices = [draw.photograph for draw in draws[turn * photographs : (turn + 1) * photographs]]
        assert sorted(indices) == list(range(photographs))


def test_order_is_shuffled_anew_in_each_round() -> None:
    draws = [draw.photograph for draw in _draws(100, _batches(20, 3))]
    rounds = [tuple(draws[20 * turn : 20 * (turn + 1)]) for turn in range(5)]
    assert len(set(rounds)) == 5
    assert tuple(range(20)) not in rounds


def test_same_seed_gives_the_same_batches_and_another_seed_others() -> None:
    first, second, other = (_draws(40, _batches(seed=seed)) for seed in (1, 1, 2))
    assert first == second
    assert [draw.photograph for draw in first] != [draw.photograph for draw in other]


def test_no_two_draws_share_their_seed() -> None:
    draws = _draws(200, _batches())
    assert len({draw.seed for draw in draws}) == 200


@pytest.mark.parametrize("first", [1, 2, 3, 7, 100])
def test_starting_later_equals_dropping_batches(first: int) -> None:
    expected = list(itertools.islice(_batches(), first, first + 12))
    assert list(itertools.islice(_batches(first=first), 12)) == expected


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_together_equal_one_with_the_global_batch(world_size: int) -> None:
    alone = list(itertools.islice(_batches(batch_size=3 * world_size), 10))
    shared = [list(itertools.islice(_batches(rank=rank, world_size=world_size), 10)) for rank in range(world_size)]
    for step in range(10):
        assert [draw for rank in shared for draw in rank[step]] == alone[step]


# ---------------------------------------------------------------- PhotographDataset


def test_photograph_is_determined_by_its_draw(train: Path) -> None:
    dataset = PhotographDataset(sorted(train.iterdir()), range(5), RandomCrop(size=16, scale=0.5, flip=True))
    first, second, other = (dataset[draw] for draw in (Draw(1, 5), Draw(1, 5), Draw(1, 6)))
    assert torch.equal(first.image, second.image)
    assert first.label == other.label == 1
    assert not torch.equal(first.image, other.image)
    assert first.seconds > 0
    assert len(dataset) == 5


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n broken"])
def test_unreadable_file_is_replaced_by_the_next_with_a_warning(
    train: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    paths = sorted(train.iterdir())
    paths[1].write_bytes(content)
    dataset = PhotographDataset(paths, range(5), CentreCrop(size=16))
    with caplog.at_level(logging.WARNING, logger="impasto.data.batches"):
        found = dataset[1]
    assert torch.equal(found.image, dataset[2].image)
    assert found.label == 2
    assert len(caplog.records) == 1
    assert "left out" in caplog.text
    assert "t01.png" in caplog.text


def test_photographs_of_which_none_can_be_read_are_an_error(train: Path) -> None:
    for path in train.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 5 photographs can be read; the first is .*t00\.png"):
        PhotographDataset(sorted(train.iterdir()), range(5), CentreCrop(size=16))[0]


# ---------------------------------------------------------------- Photographs


@pytest.mark.parametrize("val_limit", [0, -5])
def test_val_limit_below_one_is_refused(train: Path, val: Path, val_limit: int) -> None:
    with pytest.raises(ValueError, match=f"val_limit of at least 1, or null for all, got {val_limit}"):
        _data(train, val, val_limit=val_limit)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_below_one_is_refused(train: Path, val: Path, batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size of at least 1, got {batch_size}"):
        _data(train, val, batch_size=batch_size)


def test_files_folders_and_patterns_can_be_mixed(tmp_path: Path, train: Path, val: Path) -> None:
    more = _write(tmp_path / "more" / "alone.png", 9)
    data = _data([str(train / "t0[12].png"), str(more)], val)
    data.setup("fit")
    assert [path.name for path in data.train_paths] == ["t01.png", "t02.png", "alone.png"]


def test_skipped_names_are_left_out(tmp_path: Path, train: Path, val: Path) -> None:
    listed = tmp_path / "skip.txt"
    listed.write_text("t01.png\nt03.png\nv00.png\nnot there.png\n", encoding="utf-8")
    data = _data(train, val, skip=str(listed))
    data.setup("fit")
    assert [path.name for path in data.train_paths] == ["t00.png", "t02.png", "t04.png"]
    assert [path.name for path in data.val_paths] == ["v01.png", "v02.png"]


def test_skip_list_that_leaves_nothing_is_an_error(tmp_path: Path, train: Path, val: Path) -> None:
    listed = tmp_path / "skip.txt"
    listed.write_text("v00.png\nv01.png\nv02.png\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"skip\.txt leaves no photographs"):
        _data(train, val, skip=str(listed)).setup("fit")


@pytest.mark.parametrize(("count", "limit"), [(12, 4), (12, 12), (10, 3), (10, 6), (12, 7), (5, 4), (3, 1)])
def test_val_limit_is_spread_evenly(tmp_path: Path, train: Path, count: int, limit: int) -> None:
    data = _data(train, _folder(tmp_path / "held_out", count), val_limit=limit)
    data.setup("fit")
    chosen = [int(path.stem) for path in data.val_paths]
    assert len(chosen) == limit
    assert chosen == sorted(set(chosen))
    steps = [after - before for before, after in itertools.pairwise(chosen)] or [count]
    assert max(steps) - min(steps) <= 1
    assert chosen[0] < max(steps)
    assert count - 1 - chosen[-1] <= max(steps)  # and none is far from the end


def test_batches_hold_photographs_and_their_times(train: Path, val: Path) -> None:
    data = _data(train, val)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, Batch)
    assert batch.image.shape == (2, 16, 16, 3)
    assert batch.image.dtype == torch.uint8
    assert batch.image.min() < 80 and batch.image.max() > 175
    assert batch.label.tolist() == [-1, -1]  # nobody told
    assert len(batch.seconds) == 2 and min(batch.seconds) > 0


def test_validation_reads_each_photograph_once_and_in_order(train: Path, val: Path) -> None:
    data = _data(train, val)
    data.setup("fit")
    batches = list(data.val_dataloader())
    assert [batch.image.shape for batch in batches] == [(2, 24, 24, 3), (1, 24, 24, 3)]
    dataset = PhotographDataset(sorted(val.iterdir()), range(3), CentreCrop(size=24))
    expected = torch.stack([dataset[index].image for index in range(3)])
    assert torch.equal(torch.cat([batch.image for batch in batches]), expected)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_out_the_validation(train: Path, val: Path, world_size: int) -> None:
    found = {}
    for rank in range(world_size):
        data = _data(train, val)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, num_devices=world_size)  # type: ignore[assignment]
        data.setup("fit")
        images = torch.cat([batch.image for batch in data.val_dataloader()])
        found |= {rank + number * world_size: image for number, image in enumerate(images)}
    dataset = PhotographDataset(sorted(val.iterdir()), range(3), CentreCrop(size=24))
    assert len(found) == 3 and all(torch.equal(found[number], dataset[number].image) for number in range(3))


def test_fewer_photographs_to_validate_on_than_processes_are_an_error(train: Path, val: Path) -> None:
    data = _data(train, val)
    data.trainer = SimpleNamespace(global_rank=3, world_size=4, num_devices=4)  # type: ignore[assignment]
    data.setup("fit")
    with pytest.raises(ValueError, match="a photograph to validate on for each of 4 processes, got 3"):
        data.val_dataloader()


def test_images_are_scaled_where_they_are_used(train: Path, val: Path) -> None:
    data = _data(train, val)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    found = data.on_after_batch_transfer(batch, 0)
    assert found.image.shape == (2, 3, 16, 16) and found.image.is_contiguous()
    assert torch.equal(found.image, batch.image.permute(0, 3, 1, 2) / 255)
    assert found.label is batch.label and found.seconds is batch.seconds


def test_crops_in_256_levels_are_those_of_floats_rounded(train: Path, val: Path) -> None:
    crop = RandomCrop(size=16, scale=0.5, flip=True)
    paths = sorted(train.iterdir())
    dataset = PhotographDataset(paths, range(5), crop)
    for number, path in enumerate(paths):
        exact = crop(read_image(path), generator_of(number + 7)).permute(1, 2, 0) * 255
        assert (dataset[Draw(number, number + 7)].image - exact).abs().max() < 1.6  # each axis is rounded


# A machine with one core is advised against two workers: https://github.com/pytorch/pytorch/pull/46867
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")
def test_number_of_workers_does_not_change_the_batches(train: Path, val: Path) -> None:
    found = []
    for workers in (0, 2):
        data = _data(train, val, num_workers=workers)
        data.setup("fit")
        batches = list(itertools.islice(data.train_dataloader(), 5))
        found.append(torch.stack([batch.image for batch in batches]))
    assert torch.equal(found[0], found[1])
