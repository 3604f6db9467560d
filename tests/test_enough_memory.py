"""What would not fit into memory is refused in one sentence, which names what would."""

from functools import partial

import pytest

from impasto.memory import check_memory, gibibytes, largest_side


def _free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    class Free:
        available = count

    monkeypatch.setattr("psutil.virtual_memory", Free)


def test_work_that_fits_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 1000)
    check_memory(1000, "the work")
    with pytest.raises(ValueError, match="the work would take"):
        check_memory(1001, "the work")


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
