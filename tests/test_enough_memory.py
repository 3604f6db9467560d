"""What would not fit into memory is refused in one sentence, which names what would."""

import resource
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from impasto.memory import TooLargeError, check_memory, free_memory, gibibytes, largest_side, reserve_memory


def _free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    class Free:
        available = count

    monkeypatch.setattr("psutil.virtual_memory", Free)


def test_work_that_fits_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 1000)
    check_memory(1000, "the work")
    with pytest.raises(ValueError, match="the work would take"):
        check_memory(1001, "the work")


def test_a_gpu_is_asked_for_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 10**12)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (700, 10**12))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 500)  # by PyTorch, which uses 200 of it
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda device: 200)
    check_memory(1000, "the work", device="cuda:1")
    with pytest.raises(ValueError, match="the work would take"):
        check_memory(1001, "the work", device="cuda:1")


def test_the_size_that_would_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 2**30)
    with pytest.raises(
        ValueError, match=r"4\.0 GiB of memory and 1\.0 GiB is free; one whose longer side has 1024 pixels would fit"
    ):
        check_memory(4 * 2**30, "an image", fits=partial(largest_side, lambda side: 2**30 * (side / 1024) ** 2, 2048))


def test_the_largest_side_fits_and_a_larger_one_does_not() -> None:
    def needed(side: int) -> int:
        return 90 * side * side + 5_000_000

    side = largest_side(needed, 3000, 100_000_000)
    assert needed(side) <= 100_000_000 < needed(side + 3000 // 64 + 1)
    assert largest_side(needed, 3000, 1_000_000) == 0


def test_bytes_are_told_as_a_person_would() -> None:
    assert gibibytes(1.5 * 2**30) == "1.5 GiB"


def test_the_limit_of_a_process_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = psutil.Process().memory_info().vms + 2**20
    monkeypatch.setattr("resource.getrlimit", lambda kind: (limit, limit))
    assert 0 <= free_memory() <= 2**20
    monkeypatch.setattr("resource.getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    assert free_memory() > 2**20


@pytest.mark.parametrize(("name", "folder"), [("batch/job", "batch"), ("elsewhere", "")])  # seen from a container
def test_the_limit_of_a_control_group_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    (tmp_path / "of_process").write_text(f"1:name=systemd:/\n0::/{name}\n")
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "memory.max").write_text("3000\n")
    (tmp_path / folder / "memory.current").write_text("2500\n")
    (tmp_path / folder / "memory.stat").write_text("anon 1\ninactive_file 400\n")
    monkeypatch.setattr("impasto.memory._GROUPS", tmp_path)
    monkeypatch.setattr("impasto.memory._GROUPS_OF_PROCESS", tmp_path / "of_process")
    assert free_memory() == 900
    (tmp_path / folder / "memory.max").write_text("max\n")
    assert free_memory() > 900


def test_what_does_not_fit_beside_others_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 1000)
    order: list[str] = []

    def second() -> None:
        with reserve_memory(600, "the second"):
            order.append("second")

    with reserve_memory(600, "the first"):
        thread = threading.Thread(target=second)
        thread.start()
        with reserve_memory(300, "a small one"):
            order.append("small")
        thread.join(timeout=0.2)
        order.append("first")
    thread.join(timeout=30)
    assert order == ["small", "first", "second"]
    with pytest.raises(TooLargeError, match="the third would take"), reserve_memory(1001, "the third"):
        pass
