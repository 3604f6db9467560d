"""impasto pack: what it writes, a kill, refusals; and trainings and checks on what it wrote."""

import io
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from filelock import FileLock
from litdata import StreamingDataset
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


def _index(split: str, folder: Path = OUTPUT) -> dict[str, Any]:
    return dict(json.loads((folder / split / "index.json").read_text()))


def _samples(split: str, folder: Path = OUTPUT) -> list[dict[str, Any]]:
    stream = StreamingDataset(str(folder / split))
    return [stream[index] for index in range(len(stream))]


def test_shards_hold_the_files_their_labels_and_an_index(packing: Callable[..., Any]) -> None:
    result = packing(*PACK, "shard_bytes=12000")
    assert result.code == 0, result.err
    assert "to train on them: data=shards data.urls=shards/scenes" in result.out
    assert "lightning.ai" not in result.out + result.err
    index = _index("train")
    assert index["classes"] == list(CLASSES) and len(index["chunks"]) > 2
    assert index["settings"]["val_limit"] is None
    samples = _samples("train")
    assert len(samples) == 21 and len(_samples("val")) == 3
    for sample in samples:
        scene = CLASSES[sample["label"]]
        assert sample["content"] == Path("scenes", scene, sample["name"]).read_bytes()
    assert len({sample["label"] for sample in samples[: index["chunks"][0]["chunk_size"]]}) > 1  # shards are mixed
    assert sorted(path.name for path in OUTPUT.iterdir()) == ["train", "val"]
    assert not Path("outputs").exists()  # no run folder
    again = packing(*PACK, "shard_bytes=12000")
    assert again.code == 0 and "is packed already" in again.out and _index("train") == index


@pytest.mark.slow
def test_a_pack_that_is_stopped_goes_on_to_the_same_shards(packing: Callable[..., Any], tmp_path: Path) -> None:
    write_scenes(Path("scenes"), count=200, size=(30, 32))
    words = (*PACK, "shard_bytes=3000")
    assert packing(*words, "output=shards/whole").code == 0
    for ending in (signal.SIGKILL, signal.SIGINT):
        before = len(list(OUTPUT.glob("train/*.bin")))
        process = start(tmp_path, *words)
        wait_for(lambda before=before: len(list(OUTPUT.glob("train/*.bin"))) > before + 5, process)
        process.send_signal(ending)
        out, _ = process.communicate()
        wait_for_end(tmp_path)
        assert not (OUTPUT / "train/index.json").exists()
        first = (OUTPUT / "train/chunk-0-0.bin").stat()
    assert process.returncode == 130
    assert "stopped; the same command goes on from the last whole shard" in out
    assert "Traceback" not in out
    result = packing(*words)
    assert result.code == 0, result.err
    assert (OUTPUT / "train/chunk-0-0.bin").stat().st_mtime_ns == first.st_mtime_ns  # kept, not written again
    names = {path.relative_to(OUTPUT) for path in OUTPUT.rglob("*") if path.is_file()}
    whole = Path("shards/whole")
    assert names == {path.relative_to(whole) for path in whole.rglob("*") if path.is_file()}
    for name in names:
        if name.name == "index.json":
            assert _index(name.parent.name) | {"updated_at": ""} == _index(name.parent.name, whole) | {"updated_at": ""}
        else:
            assert (OUTPUT / name).read_bytes() == (whole / name).read_bytes()


def wait_for_end(folder: Path) -> None:
    """Wait until no process runs in a folder."""
    end = time.monotonic() + 30
    while any(_cwd(process) == folder for process in psutil.process_iter() if process.pid != os.getpid()):
        assert time.monotonic() < end, "processes were left over"
        time.sleep(0.05)


def _cwd(process: psutil.Process) -> Path | None:
    with suppress(psutil.Error):
        return Path(process.cwd())
    return None


@pytest.mark.slow
def test_a_broken_photograph_is_left_out_and_named(packing: Callable[..., Any]) -> None:
    for number in range(8):
        Path(f"scenes/beach/beach_{number}.png").write_bytes(b"broken")
    result = packing(*PACK)
    assert result.code == 0, result.err
    assert "train: 14 photographs in " in result.out and "; 7 broken ones left out" in result.out
    assert "left out: beach_0.png is not an image" in result.out
    assert len(_samples("train")) == 14


@pytest.mark.slow
def test_large_photographs_are_made_smaller_and_small_ones_kept(impasto: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    for folder, size in (("train", (90, 60)), ("train", (40, 50)), ("val", (60, 90))):
        Path(folder).mkdir(exist_ok=True)
        pixels = np.kron(rng.integers(0, 256, (size[0] // 10, size[1] // 10, 3)), np.ones((10, 10, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(f"{folder}/{size[0]}.png")
    words = ("pack", "data=photographs", "data.train=train", "data.val=val", "output=shards/scenes", "num_workers=0")
    result = impasto(*words, "shorter_side=40")
    assert result.code == 0, result.err
    assert _index("train")["classes"] == []
    for sample in (*_samples("train"), *_samples("val")):
        with Image.open(io.BytesIO(sample["content"])) as image:
            expected = {"90.png": ((40, 60), "JPEG"), "40.png": ((50, 40), "PNG"), "60.png": ((60, 40), "JPEG")}
            assert (image.size, image.format) == expected[sample["name"]]


REFUSED = [
    (("seed=1",), "shards/scenes/train is a pack with another seed, photographs; give another output="),
    (("shorter_side=32",), "is a pack with another shorter_side; give another output="),
    (("data.layout.val_part=0.3",), "is a pack with another layout, photographs; give"),
    (("output=scenes",), "scenes holds other files; expected output=<a new or empty folder>"),
    (("shard_bytes=0",), "expected shard_bytes to be greater than or equal to 1, got 0"),
    (("shorter_side=a",), "expected shorter_side to be a valid integer, got a"),
    (("data.root=nowhere",), "no folder nowhere"),
]


@pytest.mark.slow
def test_bad_input_gets_one_sentence(packing: Callable[..., Any]) -> None:
    packing(*PACK)
    before = _index("train")
    for words, message in REFUSED:
        result = packing(*PACK, *words)
        assert result.code == 1, words
        assert message in result.err and len(result.err.strip().splitlines()) == 1, result.err
    assert _index("train") == before


@pytest.mark.slow
def test_two_packs_into_one_folder_are_refused(packing: Callable[..., Any]) -> None:
    with FileLock(f"{OUTPUT}.lock"):
        result = packing(*PACK)
    assert result.code == 1
    assert result.err == "error: another process packs into shards/scenes; wait for it, or stop it\n"


VERIFY = ("verify", "data=shards", "data.urls=shards/scenes", "num_workers=0")


@pytest.mark.slow
def test_verify_names_what_is_damaged(packing: Callable[..., Any]) -> None:
    packing(*PACK, "shard_bytes=12000")
    result = packing(*VERIFY)
    assert result.code == 0, result.err
    assert "24 photographs, 0 broken, 0 grey" in result.out
    sample = _samples("train")[2]
    content = bytes(sample["content"])
    shard = next(shard for shard in OUTPUT.glob("train/*.bin") if content in shard.read_bytes())
    shard.write_bytes(shard.read_bytes().replace(content, content[:-1] + b"x"))
    result = packing(*VERIFY)
    assert result.code == 1
    assert "1 of 24 photographs are damaged; see " in result.err
    files = [path.read_text().splitlines() for path in Path("outputs").rglob("verify.csv")]
    damaged = f"{sample['name']},{sample['name']} is damaged: its checksum is another than when it was packed"
    assert sorted(files) == [["file,finding"], ["file,finding", damaged]]


STYLE = (
    "train", "experiment=smoke_train", "logger=csv", "data=shards", "data.urls=shards/scenes", "~data.train",
    "~data.val",
)  # fmt: skip


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert (
        result.err
        == "error: the shards have no scenes, which a colorizer is trained on; pack data=scenes or data=places365\n"
    )


@pytest.mark.slow
def test_a_missing_shard_stops_a_training_before_it_begins(packing: Callable[..., Any]) -> None:
    packing(*PACK)
    (OUTPUT / "train/chunk-0-0.bin").unlink()
    result = packing(*STYLE)
    assert result.code == 1
    assert result.err == "error: shard shards/scenes/train/chunk-0-0.bin is missing\n"
