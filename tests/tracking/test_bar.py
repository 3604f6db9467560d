"""Laws of the bar: lines now and then where there is no terminal, a bar that goes away where there is one."""

import logging
from types import SimpleNamespace

import pytest

from impasto.tracking import bar
from impasto.tracking.bar import Bar


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    told = _Clock()
    monkeypatch.setattr(bar, "time", SimpleNamespace(perf_counter=lambda: told.now))
    return told


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    caplog.set_level(logging.INFO, logger=bar.__name__)
    return caplog


# ---------------------------------------------------------------- without a terminal


def test_a_line_tells_steps_text_and_the_minutes_left(clock: _Clock, no_terminal: pytest.LogCaptureFixture) -> None:
    with Bar(total=10, done=2, log_every_seconds=5.0) as told:
        clock.now += 60
        told.update(4, "loss 1.5")  # two steps in a minute, six to go
    assert no_terminal.messages == ["step 4 of 10, loss 1.5, 3.0 minutes left"]


def test_lines_come_no_more_often_than_told(clock: _Clock, no_terminal: pytest.LogCaptureFixture) -> None:
    told = Bar(total=100, done=0, log_every_seconds=10.0)
    for step in range(1, 36):
        clock.now += 1
        told.update(step, "")
    assert [message.split()[1] for message in no_terminal.messages] == ["11", "22", "33"]


def test_a_step_that_was_not_done_yet_divides_by_no_zero(clock: _Clock, no_terminal: pytest.LogCaptureFixture) -> None:
    told = Bar(total=10, done=4, log_every_seconds=1.0)
    clock.now += 60
    told.update(4, "started")
    assert no_terminal.messages == ["step 4 of 10, started, 6.0 minutes left"]


def test_without_a_terminal_nothing_is_printed(
    clock: _Clock, no_terminal: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bar(total=3, done=0, log_every_seconds=1e9) as told:
        told.update(3, "loss 1.5")
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------- on a terminal


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_a_bar_and_no_lines(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=bar.__name__)
    with Bar(total=10, done=2, log_every_seconds=0.0) as told:
        told.update(4, "loss 1.5 [bf16]")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "4/10" in printed.err and "loss 1.5 [bf16]" in printed.err and "left" in printed.err
    assert caplog.messages == []


@pytest.mark.usefixtures("terminal")
def test_a_bar_that_was_stopped_can_be_stopped_again_and_updated(capsys: pytest.CaptureFixture[str]) -> None:
    told = Bar(total=10, done=0, log_every_seconds=1e9)
    told.stop()
    told.stop()
    capsys.readouterr()
    told.update(4, "late")
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("terminal")
def test_an_error_inside_takes_the_bar_away_and_is_passed_on() -> None:
    with pytest.raises(RuntimeError, match="inside"), Bar(total=10, done=0, log_every_seconds=1e9) as told:
        raise RuntimeError("inside")
    assert not told._bar.live.is_started
    with Bar(total=10, done=0, log_every_seconds=1e9):
        pass  # rich refuses a second bar while one is shown


@pytest.mark.usefixtures("terminal")
def test_rate_and_time_left_are_those_of_the_whole_work_and_not_of_a_burst(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bar(total=8, done=0, log_every_seconds=1e9) as told:
        clock.now += 60
        for step in range(1, 5):  # a batch of four at once
            told.update(step, "")
        assert told.rate(4) == pytest.approx(4 / 60)
    assert "0:01:00 left" in capsys.readouterr().err
