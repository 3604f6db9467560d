"""impasto pack: what it writes, a kill, refusals; and trainings and checks on what it wrote."""

import fcntl
import io
import json
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from processes import start, wait_for
from scenes import CLASSES, write_scenes

PACK = ("pack", "data=scenes", "data.root=scenes", "data.least_chroma=0", "num_workers=0", "output=shards/scenes")
OUTPUT = Path("shards/scenes")


@pytest.fixture
def packing(impasto: Callable[..., Any]) -> Callable[..., Any]:
    """`impasto` in a folder with three scenes of eight photographs, one of each held out."""
    write_scenes(Path("scenes"), count=8)
    return impasto


def _index(folder: Path = OUTPUT) -> dict[str, Any]:
    return dict(json.loads((folder / "index.json").read_text()))


def _members(*shards: str) -> dict[str, bytes]:
    found = {}
    for shard in shards:
        with tarfile.open(OUTPUT / shard) as tar:
            found |= {f"{shard}/{m.name}": tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]
    return found


def test_shards_hold_the_files_their_labels_and_an_index(packing: Callable[..., Any]) -> None:
    result = packing(*PACK, "shard_bytes=12000")
    assert result.code == 0, result.err
    assert "to train on them: data=shards data.urls=shards/scenes" in result.out
    index = _index()
    assert index["classes"] == list(CLASSES) and len(index["train"]) > 2
    assert index["settings"]["photographs"] | {"names": ""} == {"train": 21, "val": 3, "names": ""}
    assert index["settings"]["data"]["val_limit"] is None
    members = _members(*(shard["name"] for shard in index["train"]))
    images = {name: content for name, content in members.items() if name.endswith(".png")}
    assert len(images) == 21 == len(members) - len(images)
    for name, content in images.items():
        key = name.rpartition("_")[0].rpartition("/")[2].partition("_")[2]
        stem = name.rpartition("/")[2].partition("_")[2]
        assert content == Path("scenes", key, stem).read_bytes()
        assert members[name.replace(".png", ".cls")] == str(CLASSES.index(key)).encode()
    assert list(images) != sorted(images, key=lambda k: k.partition("_")[2])
    first = _members(index["train"][0]["name"])
    assert len({content for name, content in first.items() if name.endswith(".cls")}) > 1  # shards are mixed
    assert sorted(path.name for path in OUTPUT.iterdir()) == sorted(
        ["index.json", *(shard["name"] for shard in index["train"] + index["val"])]
    )
    assert not Path("outputs").exists()  # no run folder
    again = packing(*PACK, "shard_bytes=12000")
    assert again.code == 0 and "is packed already" in again.out and _index() == index


def test_a_pack_that_is_killed_goes_on_to_the_same_index(packing: Callable[..., Any], tmp_path: Path) -> None:
    write_scenes(Path("scenes"), count=60, size=(30, 32))
    words = (*PACK, "shard_bytes=3000")
    assert packing(*words, "output=shards/whole").code == 0
    whole = (Path("shards/whole") / "index.json").read_bytes()
    process = start(tmp_path, *words)
    wait_for(lambda: (OUTPUT / ".pack/train-000005.tar.json").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (OUTPUT / "index.json").exists()
    (OUTPUT / ".00000000.1.part.tar").write_bytes(b"half")
    first = (OUTPUT / "train-000000.tar").stat()
    result = packing(*words)
    assert result.code == 0, result.err
    assert (OUTPUT / "index.json").read_bytes() == whole
    assert (OUTPUT / "train-000000.tar").stat().st_mtime_ns == first.st_mtime_ns  # kept, not written again
    names = {path.name for path in OUTPUT.iterdir()}
    assert names == {path.name for path in Path("shards/whole").iterdir()}
    for name in names:
        assert (OUTPUT / name).read_bytes() == (Path("shards/whole") / name).read_bytes()


def test_a_broken_photograph_is_left_out_and_named(packing: Callable[..., Any]) -> None:
    for number in range(8):
        Path(f"scenes/beach/beach_{number}.png").write_bytes(b"broken")
    result = packing(*PACK)
    assert result.code == 0, result.err
    assert "; 7 broken ones left out" in result.out and "left out: beach_0.png is not an image" in result.out
    index = _index()
    assert (index["train"][0]["samples"], index["val"][0]["samples"]) == (14, 2)
    assert len(index["left_out"]["train"]) == 7 and len(index["left_out"]["val"]) == 1


def test_large_photographs_are_made_smaller_and_small_ones_kept(impasto: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    for folder, size in (("train", (90, 60)), ("train", (40, 50)), ("val", (60, 90))):
        Path(folder).mkdir(exist_ok=True)
        pixels = np.kron(rng.integers(0, 256, (size[0] // 10, size[1] // 10, 3)), np.ones((10, 10, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(f"{folder}/{size[0]}.png")
    words = ("pack", "data=photographs", "data.train=train", "data.val=val", "output=shards/scenes", "num_workers=0")
    result = impasto(*words, "shorter_side=40")
    assert result.code == 0, result.err
    assert _index()["classes"] == []
    for name, content in _members("train-000000.tar", "val-000000.tar").items():
        with Image.open(io.BytesIO(content)) as image:
            expected = {"90.jpg": (40, 60), "40.png": (50, 40), "60.jpg": (60, 40)}
            assert image.size == expected[name.rpartition("_")[2]]


REFUSED = [
    (("seed=1",), "shards/scenes is a pack with other settings: seed was 0 and is 1,"),
    (("shorter_side=32",), "shorter_side was None and is 32; give another output="),
    (("data.layout.val_part=0.3",), "data.layout.val_part was 0.1 and is 0.3, photographs.train was 21 and is 18"),
    (("output=scenes",), "scenes holds other files; expected output=<a new or empty folder>"),
    (("shard_bytes=0",), "expected shard_bytes to be a whole number of at least 1, got 0"),
    (("shorter_side=a",), "expected shorter_side to be a whole number of at least 1, got a"),
    (("data.root=nowhere",), "no folder nowhere"),
]


def test_bad_input_gets_one_sentence(packing: Callable[..., Any]) -> None:
    packing(*PACK)
    before = _index()
    for words, message in REFUSED:
        result = packing(*PACK, *words)
        assert result.code == 1, words
        assert message in result.err and len(result.err.strip().splitlines()) == 1, result.err
    assert _index() == before


def test_two_packs_into_one_folder_are_refused(packing: Callable[..., Any], tmp_path: Path) -> None:
    (OUTPUT / ".pack").mkdir(parents=True)
    with (OUTPUT / ".pack/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = packing(*PACK)
    assert result.code == 1
    assert result.err == "error: another process packs into shards/scenes; wait for it, or stop it\n"


def test_verify_compares_checksums(packing: Callable[..., Any]) -> None:
    packing(*PACK, "shard_bytes=12000")
    verify = ("verify", "data=shards", "data.urls=shards/scenes")
    result = packing(*verify)
    assert result.code == 0, result.err
    assert "shards with 24 photographs are as they were packed" in result.out
    shard = OUTPUT / "train-000001.tar"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    result = packing(*verify)
    assert result.code == 1
    assert "train-000001.tar has another checksum" in result.out and "1 of " in result.err
    files = [path.read_text().splitlines() for path in Path("outputs").rglob("verify.csv")]
    assert sorted(files) == [["file,finding"], ["file,finding", "train-000001.tar,has another checksum"]]


STYLE = (
    "train", "experiment=smoke_train", "logger=csv", "data=shards", "data.urls=shards/scenes", "~data.train",
    "~data.val",
)  # fmt: skip


def test_a_style_is_trained_on_shards_and_resumed_to_the_same_weights(
    packing: Callable[..., Any], tmp_path: Path
) -> None:
    packing(*PACK, "shard_bytes=12000")
    steps = ("trainer.max_steps=4", "trainer.val_check_interval=4", "checkpoint_every=3", "callbacks.samples.every=100")
    whole = packing(*STYLE, *steps, "data.num_workers=0")
    assert whole.code == 0, whole.err
    assert len(list((whole.folder / "samples/photographs").iterdir())) == 1
    first = packing(*STYLE, *steps, "data.num_workers=0", "trainer.max_steps=3")
    result = packing("train", f"resume={first.folder}", "trainer.max_steps=4")
    assert result.code == 0, result.err
    ours, theirs = (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (first.folder, whole.folder)
    )
    assert ours["global_step"] == theirs["global_step"] == 4
    assert all(torch.equal(value, theirs["state_dict"][name]) for name, value in ours["state_dict"].items())


COLOUR = (
    "train", "experiment=smoke_colorizer", "logger=csv", "data=shards", "data.urls=shards/scenes",
    "~data.least_chroma",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_colorizer_is_trained_on_shards_with_scenes_only(packing: Callable[..., Any]) -> None:
    packing(*PACK)
    result = packing(*COLOUR)
    assert result.code == 0, result.err
    assert (result.folder / "confusion.csv").read_text().startswith("truth,beach,forest,kitchen")
    assert (result.folder / "samples/step_000004.png").is_file()
    result = packing(*COLOUR, "data.batch_size=1")
    assert "expected data.batch_size of at least 2 (batch norm), got 1" in result.err
    result = packing(*COLOUR, "loss=iizuka2016_rare")
    assert "expected loss.rare_colours.photographs=<folder>" in result.err
    plain = ("pack", "data=photographs", "data.train=scenes", "data.val=scenes", "output=plain", "num_workers=0")
    assert packing(*plain).code == 0
    result = packing(*COLOUR, "data.urls=plain")
    assert result.err == "error: the shards in plain have no scenes; pack data=scenes or data=places365\n"


def test_a_missing_shard_stops_a_training_before_it_begins(packing: Callable[..., Any]) -> None:
    packing(*PACK)
    (OUTPUT / "train-000000.tar").unlink()
    result = packing(*STYLE)
    assert result.code == 1
    assert result.err == "error: shard shards/scenes/train-000000.tar is missing\n"
