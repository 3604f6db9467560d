"""Laws of timing: warm-up does not count, the median and the quartiles are those of the repeats."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from impasto.evaluation import speed
from impasto.evaluation.speed import time_calls
from impasto.hardware import Peak


class _Clock:
    """A clock that each call of a function moves on by the next of some durations."""

    def __init__(self, *durations: float) -> None:
        self.now, self.durations, self.calls = 50.0, list(durations), 0

    def function(self) -> str:
        self.now += self.durations[self.calls]
        self.calls += 1
        return "something"


def _timed(
    monkeypatch: pytest.MonkeyPatch, *durations: float, warmup: int, repeats: int
) -> tuple[tuple[float, ...], _Clock]:
    """Median and quartiles, and the clock."""
    clock = _Clock(*durations)
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    found = time_calls(clock.function, warmup=warmup, repeats=repeats, device="cpu")
    assert found["peak_bytes"] > 2**20
    return (found["seconds"], found["low"], found["high"]), clock


def test_the_median_and_the_quartiles_are_those_of_the_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = _timed(monkeypatch, 5.0, 1.0, 4.0, 2.0, 3.0, warmup=0, repeats=5)
    assert found == (3.0, 2.0, 4.0)


def test_quartiles_lie_between_repeats_where_they_must(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = _timed(monkeypatch, 1.0, 2.0, 3.0, 4.0, warmup=0, repeats=4)
    assert found == pytest.approx((2.5, 1.75, 3.25))


@pytest.mark.parametrize("warmup", [0, 1, 3])
def test_warm_up_is_called_and_not_counted(monkeypatch: pytest.MonkeyPatch, warmup: int) -> None:
    found, clock = _timed(monkeypatch, *[100.0] * warmup, 1.0, 2.0, 3.0, warmup=warmup, repeats=3)
    assert found == (2.0, 1.5, 2.5)
    assert clock.calls == warmup + 3


def test_one_repeat_is_median_and_quartiles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = _timed(monkeypatch, 9.0, 7.0, warmup=1, repeats=1)
    assert found == (7.0, 7.0, 7.0)


def test_a_gpu_is_waited_for_inside_of_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = _Clock(1.0, 1.0), []

    def read() -> float:
        order.append("clock")
        return clock.now

    def wait(device: str) -> None:
        order.append(device)

    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=read))
    monkeypatch.setattr(speed, "synchronise", wait)
    monkeypatch.setattr(speed, "peak_memory", lambda device: nullcontext(Peak()))
    time_calls(clock.function, warmup=0, repeats=2, device="cuda:0")
    assert order == ["cuda:0", "clock", "cuda:0", "clock"] * 2


def test_an_error_of_the_function_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        time_calls(lambda: 1 / 0, warmup=0, repeats=1, device="cpu")
