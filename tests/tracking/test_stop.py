"""Laws of stopping: the first signal asks, the second Ctrl-C interrupts, and the handlers are given back."""

import logging
import signal
import threading
from collections.abc import Iterator

import pytest

from impasto.tracking.recording import StopSignal

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[list[object]]:
    before = [signal.getsignal(number) for number in SIGNALS]
    yield list(before)
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


def _handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_to_stop_and_interrupts_nothing(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="impasto")
    with StopSignal() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
    assert stop.requested
    assert caplog.messages == ["stopping after this step and saving; Ctrl-C again stops at once"]


@pytest.mark.parametrize("first", SIGNALS)
def test_ctrl_c_interrupts_at_once_when_a_stop_was_asked_for(first: signal.Signals) -> None:
    with StopSignal() as stop:
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.requested


@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_sigterm_still_waits(first: signal.Signals) -> None:
    with StopSignal() as stop:
        signal.raise_signal(first)
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested


def test_the_handlers_are_given_back(handlers: list[object]) -> None:
    stop = StopSignal()
    assert _handlers() == handlers
    with stop:
        assert all(one != before for one, before in zip(_handlers(), handlers, strict=True))
    assert _handlers() == handlers
    stop.give_back()  # once more does no harm
    assert _handlers() == handlers


def test_the_handlers_are_given_back_after_an_error(handlers: list[object]) -> None:
    with pytest.raises(RuntimeError, match="inside"), StopSignal():
        raise RuntimeError("inside")
    assert _handlers() == handlers


def test_another_thread_takes_no_signals(handlers: list[object]) -> None:
    seen: list[object] = []

    def work() -> None:
        with StopSignal() as stop:
            seen.extend([stop.requested, _handlers()])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, handlers]
    assert _handlers() == handlers
