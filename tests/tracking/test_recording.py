"""status.json tells how a run ended, whatever ended it."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from impasto.run_folders import RunFolder
from impasto.tracking.recording import Interrupted, recorded


def _status(folder: Path) -> dict[str, str]:
    return dict(json.loads((folder / "status.json").read_text()))


def test_a_run_is_running_then_finished(tmp_path: Path) -> None:
    with recorded(tmp_path / "run", config="seed: 0\n"):
        assert _status(tmp_path / "run")["status"] == "running"
    assert _status(tmp_path / "run")["status"] == "finished"
    assert (tmp_path / "run" / "config.yaml").read_text() == "seed: 0\n"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no"), "failed"),
        (MemoryError(), "failed"),
        (SystemExit(3), "failed"),
        (Interrupted("x"), "interrupted"),
    ],
)
def test_a_run_that_raises_says_so_and_raises(tmp_path: Path, error: BaseException, expected: str) -> None:
    with pytest.raises(type(error)), recorded(tmp_path, config=""):
        raise error
    status = _status(tmp_path)
    assert status["status"] == expected
    assert (type(error).__name__ in status.get("traceback", "")) == (expected == "failed")


def test_a_start_in_the_same_folder_removes_what_the_one_before_left_half_written_and_nothing_else(
    tmp_path: Path,
) -> None:
    with recorded(tmp_path, config="seed: 0\n"):
        pass
    (tmp_path / "checkpoints").mkdir()
    half = tmp_path / "checkpoints" / f".01234abc.{os.getpid()}.part.ckpt"
    others = [".01234abc.1.part.ckpt", ".movie.mkv.part", ".git.part1", f".draft.{os.getpid()}.part.ckpt", "a.part"]
    for path in (half, *(tmp_path / "checkpoints" / name for name in others)):
        path.write_text("half")
    with recorded(tmp_path, config="seed: 1\n"):
        pass
    assert (tmp_path / "config.yaml").read_text() == "seed: 1\n"
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == sorted(others)


@pytest.mark.parametrize("error", [ValueError("refused"), Interrupted("x"), None])
def test_a_resumed_run_that_does_not_begin_stays_as_it_was(tmp_path: Path, error: BaseException | None) -> None:
    with recorded(tmp_path, config="seed: 0\n"):
        pass
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with suppress(ValueError, Interrupted), recorded(tmp_path, config=None):
        if error is not None:
            raise error
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_resumed_run_that_begins_is_recorded(tmp_path: Path) -> None:
    with recorded(tmp_path, config="seed: 0\n"):
        pass
    with pytest.raises(ValueError, match="late"), recorded(tmp_path, config=None):
        RunFolder(tmp_path).begin("seed: 1\n")
        assert _status(tmp_path)["status"] == "running"
        raise ValueError("late")
    assert _status(tmp_path)["error"] == "ValueError: late"
    assert (tmp_path / "config.yaml").read_text() == "seed: 1\n"


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with recorded(tmp_path / "run", config=""):
        pass
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_full_at_the_end_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="the real one"), recorded(tmp_path, config=""):
        monkeypatch.setattr("impasto.run_folders.write_text", full)
        raise ValueError("the real one")
