"""A trial sends its sweep what it reaches and ends where it is pruned; without a sweep it trains as any other."""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from impasto.tracking.callbacks import VARIABLE, TrialLink
from impasto.tracking.recording import Pruned


class _Strategy:
    def broadcast(self, value: bool) -> bool:
        return value


def _trainer(*, step: int = 4, fn: str = "fit", first: bool = True) -> Any:
    metrics = {"val/loss": torch.tensor(1.5), "val/style": torch.tensor(0.5), "train/loss": torch.tensor(9.0)}
    return SimpleNamespace(
        global_step=step,
        is_global_zero=first,
        callback_metrics=metrics,
        strategy=_Strategy(),
        state=SimpleNamespace(fn=fn),
    )


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """The sweep's end of the pipe that the variable names."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    ours, theirs = multiprocessing.Pipe()
    monkeypatch.setenv(VARIABLE, str(os.dup(theirs.fileno())))  # the link closes its own
    theirs.close()
    yield ours
    ours.close()


def _validate(link: TrialLink, trainer: Any) -> None:
    link.on_validation_end(trainer, None)  # type: ignore[arg-type]


def test_each_validations_losses_reach_the_sweep(sweep: Connection) -> None:
    link = TrialLink()
    sweep.send(False)
    _validate(link, _trainer(step=4))
    assert sweep.poll(5) and sweep.recv() == (4, {"val/loss": 1.5, "val/style": 0.5})


def test_a_training_that_is_pruned_ends_there(sweep: Connection) -> None:
    link = TrialLink()
    sweep.send(True)
    with pytest.raises(Pruned, match="pruned at step 6: other trials had done better by then"):
        _validate(link, _trainer(step=6))


def test_the_validation_before_or_after_a_training_ends_nothing(sweep: Connection) -> None:
    link = TrialLink()
    sweep.send(True)
    _validate(link, _trainer(fn="validate"))
    assert sweep.recv()[1]


def test_a_sweep_that_was_killed_is_survived(sweep: Connection) -> None:
    link = TrialLink()
    sweep.close()
    for _ in range(3):
        _validate(link, _trainer())


def test_without_a_sweep_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    link = TrialLink()
    _validate(link, _trainer())


def test_of_several_ranks_the_first_alone_speaks(sweep: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    link = TrialLink()
    _validate(link, _trainer(first=False))
    assert not sweep.poll(0)
    os.close(int(os.environ[VARIABLE]))
