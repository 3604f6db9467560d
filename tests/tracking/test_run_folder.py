"""status.json tells how a run ended, whatever ended it."""

import json
from pathlib import Path

import pytest

from impasto.tracking.run_folder import Interrupted, recorded


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


def test_a_resumed_run_keeps_its_first_configuration_and_loses_half_written_files(tmp_path: Path) -> None:
    with recorded(tmp_path, config="seed: 0\n"):
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / ".0123.99.part.ckpt").write_text("half")
    with recorded(tmp_path, config="seed: 1\n"):
        pass
    assert (tmp_path / "config.yaml").read_text() == "seed: 0\n"
    assert list((tmp_path / "checkpoints").iterdir()) == []


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
        monkeypatch.setattr("impasto.tracking.run_folder.write_text", full)
        raise ValueError("the real one")
