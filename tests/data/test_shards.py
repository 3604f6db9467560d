"""Shards: every photograph once in an epoch, resumed bitwise, damage skipped and named, other places than a disk."""

import http.server
import io
import itertools
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.data import Batch, CentreCrop, RandomCrop, Shards
from impasto.data.pack_folder import PackFolder
from impasto.data.packing import Packing, pack
from impasto.data.photographs import Labelled, PhotographDataset
from impasto.data.shard_batches import EndlessShards
from impasto.data.shard_index import Shard, compare_checksums
from impasto.data.shard_order import buffered, dealt
from impasto.data.shard_reader import Reader, Sample
from impasto.data.shard_source import Source

TRAIN, VAL = 23, 5


def _photographs(folder: Path, labels: range) -> list[Labelled]:
    folder.mkdir(parents=True)
    items = []
    for label in labels:
        pixels = np.random.default_rng(label).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        items.append(Labelled(folder / f"photo_{label}.png", label))
        Image.fromarray(pixels).save(items[-1].path)
    return items


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """28 photographs, each a scene of its own so that its label tells which it is; five to a shard."""
    splits = {
        "train": _photographs(tmp_path / "train", range(TRAIN)),
        "val": _photographs(tmp_path / "val", range(TRAIN, TRAIN + VAL)),
    }
    size = splits["train"][0].path.stat().st_size
    packing = Packing([f"class {n}" for n in range(TRAIN + VAL)], None, 9 * size // 2, 0, lambda more, shard: None)
    folder = PackFolder(tmp_path / "shards", {})
    with folder.claimed():
        pack(splits, folder, packing)
    return folder.path


def _data(urls: Path | str, *, step: int = 0, rank: int = 0, world_size: int = 1, **options: Any) -> Shards:
    settings: dict[str, Any] = {
        "urls": str(urls),
        "train_transform": RandomCrop(size=8, scale=0.5, flip=True),
        "val_transform": CentreCrop(size=12),
        "batch_size": 2,
        "num_workers": 0,
        "seed": 3,
        "val_limit": None,
        "shuffle_buffer": 4,
    }
    data = Shards(**(settings | options))
    trainer: Any = SimpleNamespace(
        global_step=step, accumulate_grad_batches=1, global_rank=rank, world_size=world_size, num_devices=world_size
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


def _spoil(shard: Path, number: int, *, header: bool) -> str:
    """Damage the image of a member: its bytes, or its header in the tar file. Return its key."""
    with tarfile.open(shard) as tar:
        member = next(m for m in tar if m.name.startswith(f"{number:06d}") and m.name.endswith(".png"))
    with shard.open("r+b") as file:
        file.seek(member.offset if header else member.offset_data)
        file.write(b"\xff" * 300)
    return member.name.partition(".")[0]


# ---------------------------------------------------------------- order


@pytest.mark.parametrize(("count", "buffer"), [(1, 1), (7, 3), (50, 10), (10, 50)])
def test_what_enters_the_buffer_leaves_it_once_and_in_time(count: int, buffer: int) -> None:
    order = buffered(count, buffer, seed=1, epoch=0, slot=0)
    assert sorted(order.tolist()) == list(range(count))
    assert all(number < place + buffer for place, number in enumerate(order.tolist()))
    assert buffered(count, 1, seed=1, epoch=0, slot=0).tolist() == list(range(count))


def test_order_differs_between_epochs_seeds_and_slots() -> None:
    base = {"seed": 1, "epoch": 0, "slot": 0}
    orders = [buffered(50, 10, **(base | change)).tolist() for change in ({}, {"seed": 2}, {"epoch": 1}, {"slot": 1})]
    assert len({tuple(order) for order in orders}) == 4
    deals = [dealt(20, slot=0, slots=2, seed=seed, epoch=epoch) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    assert len({tuple(deal) for deal in deals}) == 3


def test_every_photograph_comes_once_in_an_epoch_over_two_processes_of_two_workers(packed: Path) -> None:
    index = _data(packed).index
    assert [shard.samples for shard in index.train] == [5, 5, 5, 5, 3]
    for epoch in range(3):
        seen: list[int] = []
        for rank, worker in itertools.product(range(2), range(2)):
            sizes = [
                sum(index.train[n].samples for n in dealt(5, slot=2 * rank + worker, slots=4, seed=3, epoch=e))
                for e in range(epoch + 1)
            ]
            stream = EndlessShards(
                Reader(Source(str(packed)), TRAIN + VAL), index.train, CentreCrop(size=8), batch_size=1, buffer=4,
                seed=3, first=worker, workers=2, rank=rank, world_size=2,
            )  # fmt: skip
            begin, end = sum(sizes[:-1]), sum(sizes)
            seen += _labels(list(itertools.islice(iter(stream), begin, end)))
        assert sorted(seen) == list(range(TRAIN))


def test_no_more_is_held_than_the_buffer() -> None:
    arrived: list[int] = []

    def read(shards: list[Shard], wanted: np.ndarray) -> Iterator[tuple[int, Sample]]:
        for number in np.flatnonzero(wanted).tolist():
            arrived.append(number)
            yield number, Sample("a.tar", str(number), None, number)

    reader: Any = SimpleNamespace(read=read)
    stream = EndlessShards(
        reader, [Shard("a.tar", 100, 1, "")], CentreCrop(size=8), batch_size=1, buffer=6,
        seed=0, first=0, workers=0, rank=0, world_size=1,
    )  # fmt: skip
    for emitted, _ in enumerate(itertools.islice(stream._samples(0, 0), 100), start=1):
        assert len(arrived) - emitted < 6


# ---------------------------------------------------------------- resume


@pytest.mark.parametrize("step", [1, 6, 11, 12, 25])
def test_a_resumed_stream_equals_the_uninterrupted_one(packed: Path, step: int) -> None:
    whole = _take(30, packed)
    assert _same(_take(30 - step, packed, step=step), whole[step:])
    assert len(set(_labels(whole[:11]))) == 22


# A machine with one core is advised against two workers: https://github.com/pytorch/pytorch/pull/46867
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")
def test_a_stream_of_two_workers_is_resumed_likewise(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    whole = _take(16, packed, num_workers=2)
    for step in (5, 8):
        assert _same(_take(16 - step, packed, num_workers=2, step=step), whole[step:])
    assert not _same(_take(16, packed, num_workers=0), whole)


def test_a_resumed_stream_opens_only_what_is_still_to_come(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    whole = Source.open
    monkeypatch.setattr(Source, "open", lambda self, name, size: opened.append(name) or whole(self, name, size))
    _take(1, packed, step=11)  # 22 of 23 are done, so one is left, and one of the next epoch
    assert len(opened) <= 3


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("header", [False, True])
def test_a_corrupt_member_is_named_and_another_takes_its_place(
    packed: Path, caplog: pytest.LogCaptureFixture, header: bool
) -> None:
    sound = _take(24, packed)
    key = _spoil(packed / "train-000001.tar", 2, header=header)
    bad = int(key.rpartition("_")[2]) if not header else 7
    found = _take(24, packed)
    assert bad not in _labels(found)
    pairs = list(zip(_labels(sound), _labels(found), strict=True))
    assert [a for a, b in pairs if a != b] == [bad] * sum(a == bad for a, _ in pairs)  # nothing shifts
    assert sum(a == bad for a, _ in pairs) >= 2
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 1  # once, though it comes in each epoch
    assert "left out (1 so far): train-000001.tar, 000002" in warnings[0]
    assert _same(_take(14, packed, step=10), found[10:])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("local", [True, False])
def test_a_member_that_is_no_file_costs_itself_alone(packed: Path, kind: bytes, local: bool) -> None:
    shard = packed / "train-000001.tar"
    with tarfile.open(shard) as tar:
        members = [(m, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]
    with tarfile.open(shard, "w") as tar:
        for member, content in members:
            if member.name.startswith("000002") and "png" in member.name:
                member.type, member.linkname, member.size, content = kind, "nothing.png", 0, b""
            tar.addfile(member, io.BytesIO(content))
    source = Source(str(packed) if local else f"pipe:cat {packed}/{{}}")
    read = [
        sample.content
        for _, sample in Reader(source, 28).read([Shard(shard.name, 5, shard.stat().st_size, "")], np.ones(5, bool))
    ]
    assert [content is None for content in read] == [False, False, True, False, False]


def test_what_a_truncated_shard_has_lost_is_named(packed: Path, caplog: pytest.LogCaptureFixture) -> None:
    shard = packed / "train-000002.tar"
    with tarfile.open(shard) as tar:
        cut = next(member.offset_data for member in tar if member.name.startswith("000003") and "png" in member.name)
    shard.write_bytes(shard.read_bytes()[: cut + 100])
    told = json.loads((packed / "index.json").read_text())
    told["train"][2]["bytes"] = cut + 100  # else it is refused before anything is read
    (packed / "index.json").write_text(json.dumps(told))
    assert set(_labels(_take(23, packed))) == set(range(TRAIN)) - {13, 14}
    assert {r.message.split(": ", 1)[1] for r in caplog.records} == {
        f"train-000002.tar, 00000{n} is lost: the tar file is damaged there" for n in (3, 4)
    }


def test_shards_of_which_nothing_can_be_read_are_an_error(packed: Path) -> None:
    for shard in packed.glob("train-*.tar"):
        shard.write_bytes(b"\1" * shard.stat().st_size)
    with pytest.raises(ValueError, match="none of the photographs in the shards can be read"):
        _take(1, packed)


def test_a_missing_shard_is_an_error_before_anything_is_read(packed: Path) -> None:
    (packed / "train-000003.tar").unlink()
    with pytest.raises(ValueError, match=r"shard .*train-000003\.tar is missing$"):
        _data(packed).setup("fit")


def test_a_shard_of_another_size_is_an_error_before_anything_is_read(packed: Path) -> None:
    shard = packed / "val-000000.tar"
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-512])
    with pytest.raises(ValueError, match=rf"val-000000\.tar has {size - 512} bytes; index\.json says {size}"):
        _data(packed).setup("fit")


def test_an_index_that_is_not_there_or_no_index_is_named(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no .*nowhere/index\.json; 'impasto pack' writes it"):
        _data(tmp_path / "nowhere").setup("fit")
    for text in ("{", "[]", '{"train": []}'):
        (packed / "index.json").write_text(text)
        with pytest.raises(ValueError, match="is no index of 'impasto pack'"):
            _data(packed).setup("fit")


def test_checksums_find_what_sizes_do_not(packed: Path) -> None:
    index, done = _data(packed).index, []
    source, shards = Source(str(packed)), [*index.train, *index.val]
    assert compare_checksums(source, shards, done.append) == {}
    assert done == list(range(1, len(shards) + 1))
    _spoil(packed / "train-000001.tar", 2, header=False)
    (packed / "val-000000.tar").unlink()
    told = {"train-000001.tar": "has another checksum", "val-000000.tar": "is missing"}
    assert compare_checksums(source, shards, done.append) == told


# ---------------------------------------------------------------- processes, validation, samples


def test_fewer_shards_than_readers(packed: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    data = _data(packed, num_workers=4, world_size=2)
    data.setup("fit")
    assert data.num_workers == 2
    assert "data.num_workers=4 becomes 2: 5 shards for 2 processes" in caplog.text
    with pytest.raises(ValueError, match="expected at least one shard for each of 6 processes, got 5"):
        _data(packed, world_size=6).setup("fit")


def test_the_seconds_of_a_batch_stay_on_the_host(packed: Path) -> None:
    batch = Batch(torch.zeros(2, 3, 8, 8), torch.zeros(2), torch.zeros(2))
    moved = _data(packed).transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved.image.device.type == moved.label.device.type == "meta" and moved.seconds is batch.seconds


@pytest.mark.parametrize("name", ["batch_size", "val_limit", "shuffle_buffer"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_below_one_are_refused(packed: Path, name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"expected data\.{name} of at least 1, got {value}"):
        _data(packed, **{name: value})


def test_validation_reads_the_same_as_the_folder_reader(packed: Path, tmp_path: Path) -> None:
    batches = list(_data(packed).val_dataloader())
    paths = sorted((tmp_path / "val").iterdir())
    folder = PhotographDataset(paths, range(TRAIN, TRAIN + VAL), CentreCrop(size=12))
    assert [len(batch.image) for batch in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([b.image for b in batches]), torch.stack([folder[n].image for n in range(VAL)]))
    assert _labels(batches) == list(range(TRAIN, TRAIN + VAL))
    assert _labels(list(_data(packed, val_limit=2).val_dataloader())) == [TRAIN, TRAIN + 2]


def test_a_broken_held_out_photograph_is_left_out(packed: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = _spoil(packed / "val-000000.tar", 1, header=False)
    assert _labels(list(_data(packed).val_dataloader())) == [23, 25, 26, 27]
    assert f"val-000000.tar, {key}" in caplog.text


def test_samples_are_spread_evenly_and_broken_ones_replaced(packed: Path) -> None:
    assert [name for name, _ in itertools.islice(_data(packed).sample_photographs(2), 2)] == ["photo_23", "photo_25"]
    _spoil(packed / "val-000000.tar", 0, header=False)
    found = list(itertools.islice(_data(packed).sample_photographs(2), 2))
    assert [name for name, _ in found] == ["photo_25", "photo_24"]
    assert found[0][1].shape == (3, 20, 24)


# ---------------------------------------------------------------- other places


class _Handler(http.server.SimpleHTTPRequestHandler):
    drops: int = 0  # how many of the next shards break off in the middle
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.endswith(".tar") and type(self).drops:
            type(self).drops -= 1
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(packed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[_Handler]]]:
    """The shards on a web server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("impasto.data.shard_source._FIRST_WAIT", 0.01)
    handler = type("Handler", (_Handler,), {"drops": 0, "asked": []})
    build: Callable[..., Any] = partial(handler, directory=str(packed.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), build)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/{packed.name}", handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_web_server_streams_the_same(packed: Path, served: tuple[str, type[_Handler]]) -> None:
    url, handler = served
    assert _same(_take(15, url), _take(15, packed))
    assert _same(list(_data(url + "/").val_dataloader()), list(_data(packed).val_dataloader()))
    handler.asked.clear()
    data = _data(url + "?token=a/b")
    data.setup("fit")
    assert handler.asked == [f"/{packed.name}/index.json?token=a/b"]


def test_who_reads_is_told_to_the_server_alone(served: tuple[str, type[_Handler]]) -> None:
    url, handler = served
    heard: list[str | None] = []
    handler.do_HEAD = lambda self: [heard.append(self.headers["Authorization"]), self.send_error(403)]  # type: ignore[assignment, method-assign, func-returns-value, misc]
    with pytest.raises(OSError, match="403"):
        Source(url.replace("://", "://me:a%40b@")).size("index.json")
    assert heard == ["Basic bWU6YUBi"]  # me:a@b


def test_a_connection_that_drops_is_opened_again_where_it_was(packed: Path, served: tuple[str, type[_Handler]]) -> None:
    url, handler = served
    handler.drops = 3
    assert _same(_take(15, url), _take(15, packed))
    assert handler.drops == 0


def test_a_connection_that_always_drops_is_an_error_with_its_address(served: tuple[str, type[_Handler]]) -> None:
    url, handler = served
    data = _data(url)
    data.setup("fit")
    handler.send_error = lambda self, *_, **__: None  # type: ignore[assignment, method-assign, misc]
    handler.do_GET = lambda self: setattr(self, "close_connection", True)  # type: ignore[assignment, method-assign]
    with pytest.raises(ConnectionError, match=rf"{url}/train-\d+\.tar cannot be read any more"):
        next(iter(data.train_dataloader()))


def test_a_web_server_without_a_shard_or_an_index_is_named(packed: Path, served: tuple[str, type[_Handler]]) -> None:
    url, _ = served
    (packed / "train-000003.tar").unlink()
    with pytest.raises(ValueError, match=r"train-000003\.tar is missing"):
        _data(url).setup("fit")
    with pytest.raises(OSError, match=r"no http.*nothing/index\.json \(HTTP Error 404.*'impasto pack' writes it"):
        _data(url + "/nothing").setup("fit")
    with pytest.raises(ConnectionError, match=r"http://127.0.0.1:9/index\.json cannot be reached"):
        _data("http://127.0.0.1:9").setup("fit")


def test_a_command_streams_the_same(packed: Path) -> None:
    assert _same(_take(12, f"pipe:cat {packed}/{{}}"), _take(12, packed))
    with pytest.raises(OSError, match=r"pipe:cat .*/nothing/index\.json .*cannot be reached"):
        _data(f"pipe:cat {packed}/nothing/{{}} 2>/dev/null").setup("fit")
