"""metrics.csv is read as far as it goes; thinning keeps what a curve must show."""

import math
import os
import random
from array import array
from pathlib import Path

import pytest
from made_runs import write_metrics

from impasto.report.curves import Curve, read_metrics, thin


def _curve(values: list[float]) -> Curve:
    return Curve(array("d", range(len(values))), array("d", values))


@pytest.mark.parametrize("points", [8, 40, 333])
@pytest.mark.parametrize("count", [1, 8, 41, 5_000])
def test_thinning_keeps_ends_and_extremes_in_few_points(points: int, count: int) -> None:
    draw = random.Random(points * count)
    curve = _curve([draw.gauss(0, 1) for _ in range(count)])
    thinned = thin(curve, points)
    assert len(thinned.steps) <= points
    assert (thinned.steps[0], thinned.steps[-1]) == (0, count - 1)
    assert (min(thinned.values), max(thinned.values)) == (min(curve.values), max(curve.values))
    assert list(thinned.steps) == sorted(thinned.steps)
    assert all(curve.values[int(step)] == value for step, value in zip(*thinned, strict=True))


def test_thinning_keeps_what_is_not_finite() -> None:
    values = [float(i % 7) for i in range(10_000)]
    values[5_000], values[5_001], values[9_000] = math.nan, math.inf, -math.inf
    thinned = thin(_curve(values), 60)
    assert len(thinned.steps) <= 60
    assert {5_000.0, 5_001.0, 9_000.0} <= set(thinned.steps)
    assert len(thin(_curve([math.nan] * 10_000), 60).steps) <= 60


def test_values_survive_as_they_were_logged(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,a,b\n0,1.5,\n1,nan,inf\n2,,-inf\n3,1e-300,2\n")
    metrics = read_metrics(tmp_path, "metrics.csv", points=100)
    assert not metrics.problems
    a, b = metrics.curves["a"], metrics.curves["b"]
    assert list(a.steps) == [0, 1, 3] and a.values[0] == 1.5 and math.isnan(a.values[1]) and a.values[2] == 1e-300
    assert (list(b.steps), list(b.values)) == ([1, 2, 3], [math.inf, -math.inf, 2])
    assert metrics.summaries["a"] == (3, 1e-300, 1e-300, 1.5)
    assert metrics.summaries["b"] == (3, 2, -math.inf, math.inf)


def test_steps_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("a,step\n3,30\n1,10\n2,20\n")
    curve = read_metrics(tmp_path, "metrics.csv", points=100).curves["a"]
    assert (list(curve.steps), list(curve.values)) == ([10, 20, 30], [1, 2, 3])


@pytest.mark.parametrize(
    ("content", "problem", "kept"),
    [
        (b"", "a column 'step', got an empty file", 0),
        (b"\x00\xff\x00\xfe" * 100, "column 'step'", 0),
        (b"loss,other\n1,2\n", "column 'step', got 'loss, other'", 0),
        (
            b"step,a\n0,1\n1,what\nx,3\n3,4\n",
            "2 lines are damaged, the first is line 3; what could not be read is left out",
            2,
        ),
        (b"step,a,b\n0,1,2\n1,5", "line 3 is damaged; what", 2),  # killed while it wrote
        (b"step,a\n0,1\n" + b'1,"' + b"9" * 200_000, "cannot be read from line", 1),
        (b"step,a\n" + b"9" * 300_000 + b",1\n5,2\n", " damaged", 1),
    ],
    ids=range(7),
)
def test_rubbish_is_told_and_the_rest_is_kept(tmp_path: Path, content: bytes, problem: str, kept: int) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    metrics = read_metrics(tmp_path, "metrics.csv", points=100)
    assert any(problem in told for told in metrics.problems), metrics.problems
    assert len(metrics.curves["a"].steps if "a" in metrics.curves else ()) == kept


def test_metrics_are_bounded(tmp_path: Path) -> None:
    write_metrics(tmp_path, {f"m{index}": [1.0, 2.0] for index in range(500)})
    metrics = read_metrics(tmp_path, "metrics.csv", points=100)
    assert len(metrics.curves) == 80
    assert metrics.problems == ["has 500 metrics; the first 80 are shown"]


def test_a_huge_file_is_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.report.curves.MOST_CHARACTERS", 1_000)
    write_metrics(tmp_path, {"a": [float(i) for i in range(5_000)]})
    metrics = read_metrics(tmp_path, "metrics.csv", points=100)
    assert metrics.problems == ["only its first 1,000 characters are shown"]
    assert 50 < metrics.summaries["a"].logged < 500


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "b")
    (tmp_path / "c").symlink_to("/etc/passwd")
    for name in "abc":
        with pytest.raises(ValueError, match=r"is a folder|is no file|outside of the run folder"):
            read_metrics(tmp_path, name, points=100)
