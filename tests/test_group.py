"""How many cores a process may use."""

import os

import pytest

from impasto.group import usable_cores


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)


@pytest.mark.parametrize(("processes", "expected"), [(1, 8), (2, 4), (3, 2), (20, 1)])
def test_processes_share_the_cores_that_they_may_use(processes: int, expected: int) -> None:
    assert usable_cores(processes=processes) == expected


def test_those_that_slurm_gave_to_a_process_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    assert usable_cores(processes=4) == 8


def test_without_a_word_of_the_system_all_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(processes=4) == 16
