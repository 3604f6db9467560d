"""impasto evaluate experiment=shards_speed: both readers, the same photographs, a ratio."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scenes import write_scenes

from impasto.evaluation.loading_speed import measure_loading

TINY = (
    "evaluate", "experiment=shards_speed", "logger=csv", "data_root=.", "evaluation.data.least_chroma=0",
    "evaluation.data.train_transform.size=16", "evaluation.data.batch_size=2", "evaluation.photographs=6",
    "evaluation.shards=3", "evaluation.workers=[0]", "evaluation.batches=2", "evaluation.warmup=1",
    "evaluation.repeats=3",
)  # fmt: skip


def test_both_readers_are_timed_and_compared(impasto: Callable[..., Any]) -> None:
    write_scenes(Path("scenes"))
    result = impasto(*TINY)
    assert result.code == 0, result.err
    told = json.loads((result.folder / "loading.json").read_text())
    files, shards = told["rows"]
    assert [(row["reader"], row["workers"]) for row in told["rows"]] == [("files", 0), ("shards", 0)]
    assert all(0 < row["low"] <= row["images_per_second"] <= row["high"] for row in told["rows"])
    assert shards["ratio"] == shards["images_per_second"] / files["images_per_second"]
    assert "6 photographs, batches of 2" in (result.folder / "loading.md").read_text()
    assert "| shards | 0 |" in result.out
    with (result.folder / "loading.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    assert {path.suffix for path in result.folder.iterdir()}.isdisjoint({".tar"})


@pytest.mark.parametrize("name", ["photographs", "shards", "batches"])
def test_counts_below_one_are_refused(impasto: Callable[..., Any], name: str) -> None:
    result = impasto(*TINY, f"evaluation.{name}=0")
    assert result.code == 1
    assert f"expected evaluation.{name} to be a whole number of at least 1, got 0" in result.err


def test_the_rate_is_that_of_the_photographs_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 2))  # two seconds between any two looks at it
    monkeypatch.setattr("impasto.evaluation.timing.time.perf_counter", lambda: next(clock))
    batches = iter(range(100))
    found = measure_loading(batches, batch_size=4, count=5, warmup=1, repeats=2)
    assert found == {"images_per_second": 10.0, "low": 10.0, "high": 10.0}
    assert next(batches) == 15
