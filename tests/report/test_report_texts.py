"""Markdown of runs becomes tables, differences are found, texts keep within their bytes."""

import html
import math
import random
from pathlib import Path

import pytest
from made_runs import HOSTILE, make_run

from impasto.report.charts import columns_of, make_charts
from impasto.report.differences import find_differences, unusual_facts
from impasto.report.record import Run, read_run
from impasto.report.rendering import markdown
from impasto.report.texts import Allowance, duration, flatten, number, size
from impasto.run_folders.folder import moment
from impasto.tables import markdown as table


def test_the_markdown_that_runs_write_is_shown() -> None:
    text = f"{table(['size', 'here'], [['**256**', '1.5 *'], ['512', 'a|b']])}\nAMD EPYC.\n- one\n\n## Title\n"
    shown = markdown(text)
    for told in ("<strong>256</strong>", "<td>1.5 *</td>", "<td>a|b</td>", "<li>one</li>", "<h5>Title</h5>"):
        assert told in shown, told


def test_links_and_html_stay_text() -> None:
    shown = markdown("[x](javascript:alert(1)) ![y](https://h/a.png) <https://h> <b>\n\n| a |\n| :-: |\n| <i> |\n")
    assert "<a" not in shown and "<img" not in shown and "style" not in shown and "&lt;b&gt;" in shown


@pytest.mark.parametrize("text", ["|", "||||", "**", "** ** **", "#", "# ", "- ", "\\|", "|\\", "| " * 9999, "\0"])
def test_any_text_is_taken(text: str) -> None:
    markdown(text)


def _run(name: str, command: str = "train", **settings: str) -> Run:
    return Run(Path(name), name, command=command, settings=settings)


def test_only_what_differs_within_a_command_is_a_difference() -> None:
    runs = [_run("a", seed="0", lr="1", x="y"), _run("b", seed="0", lr="1"), _run("c", seed="0", lr="2", x="y")]
    runs += [_run("d", "apply", seed="9"), Run(Path("e"), "e")]
    (found,) = find_differences(runs, Allowance(10_000))
    assert (found.command, found.runs, found.same, found.left_out) == ("train", [0, 1, 2], 1, 0)
    assert [value.text for value in found.rows["lr"]] == ["1", "1", "2"]
    assert [value.unusual for value in found.rows["lr"]] == [False, False, True]
    assert [value.text for value in found.rows["x"]] == ["y", "not set", "y"]


def test_nothing_is_unusual_where_no_value_is_that_of_most() -> None:
    (found,) = find_differences([_run("a", lr="1"), _run("b", lr="2")], Allowance(10_000))
    assert [value.unusual for value in found.rows["lr"]] == [False, False]


def test_differences_keep_within_their_bytes() -> None:
    runs = [_run(str(i), **{f"key{k}": f"{'v' * 50}{i}" for k in range(100)}) for i in range(10)]
    (found,) = find_differences(runs, Allowance(10_000))
    assert 0 < len(found.rows) < 20 and found.left_out == 100 - len(found.rows)


def test_the_folder_of_a_run_is_no_difference(tmp_path: Path) -> None:
    paths = [make_run(tmp_path / n, config={"samples": {"folder": str(tmp_path / n)}, "lr": n}) for n in "ab"]
    (found,) = find_differences([read_run(path, path.name) for path in paths], Allowance(10_000))
    assert list(found.rows) == ["lr"]


def test_environments_are_compared() -> None:
    most, other = {"torch": "2.15", "cores": "2"}, {"torch": "2.11", "cores": "2", "gpu": "H100"}
    runs = [Run(Path(), "", facts=facts) for facts in (most, most, other)]
    assert unusual_facts(runs) == [set(), set(), {"torch"}]
    assert unusual_facts(runs[1:]) == [{"torch"}, {"torch"}]


def test_flattening_is_bounded_and_says_so() -> None:
    assert flatten({"a": {"b": [1, None, True]}, "c": [{"d": 1.5}], "e": {}}) == {
        "a.b": "[1, null, true]",
        "c[0].d": "1.5",
        "e": "{}",
    }
    flat = flatten({f"k{i}": {f"j{j}": i for j in range(100)} for i in range(100)})
    assert len(flat) == 401 and "further keys" in flat["..."]


@pytest.mark.parametrize("text", ["<" * 10_000, "\u20ac" * 10_000, "'\"&" * 3_000, "\ud800" * 500, *HOSTILE])
def test_a_text_takes_no_more_bytes_than_it_is_allowed(text: str) -> None:
    allowance = Allowance(1_000)
    kept = allowance.cut(text, 5_000, where="config.yaml")
    assert len(html.escape(kept).encode("utf-8", "replace")) <= 1_100
    assert (kept == text) or kept.endswith("more characters in config.yaml)")
    assert allowance.left >= 0


def test_texts_share_their_allowance() -> None:
    allowance = Allowance(1_000)
    assert allowance.cut("a" * 600, 800, where="x") == "a" * 600
    assert allowance.cut("b" * 600, 800, where="x").startswith("b" * 400 + "\n... (200 more")
    assert allowance.cut("c", 800, where="x").startswith("\n... (1 more") and allowance.left == 0


def test_charts_are_grouped_bounded_and_keep_what_is_not_finite(tmp_path: Path) -> None:
    draw = random.Random(0)
    names = ["val/psnr", "train/loss", "speed/x", "train/a", "val/loss", "plain"]
    for run in range(3):
        metrics = {name: [draw.random() for _ in range(3_000)] for name in names} | {
            "train/a": [1.0, math.nan, -math.inf]
        }
        make_run(tmp_path / str(run), metrics={"train/a": metrics.pop("train/a")})
        make_run(tmp_path / f"long{run}", metrics=metrics)
    runs = [read_run(path, path.name) for path in sorted(tmp_path.iterdir())]
    charts = make_charts(runs)
    assert list(charts.groups) == ["train", "val", "", "speed"]
    assert [name for name, _ in charts.groups["train"]] == ["train/loss", "train/a"]
    assert [name for name, _ in charts.groups["val"]] == ["val/loss", "val/psnr"]
    assert charts.points == 400
    curves = charts.groups["train"][0][1]
    assert len(curves) == 3 and all(len(steps) == len(values) <= 400 for _, steps, values in curves)
    assert charts.groups["train"][1][1][0][1:] == [[0, 1, 2], [1, "NaN", "-Infinity"]]
    assert columns_of(runs) == ["val/loss", "train/loss", "val/psnr", "plain", "train/a"]


def test_numbers_and_times_are_said_as_a_person_would() -> None:
    assert [number(v) for v in (0.0, 3.0, 1234.0, 0.15234567, 1e-7, math.nan, -math.inf, 1e300)] == [
        "0", "3", "1,234", "0.15235", "1e-07", "NaN", "-infinity", "1e+300"
    ]  # fmt: skip
    assert [duration(v) for v in (None, 0.3, 59.4, 185, 7500, 266_400, -1, math.inf)] == [
        "-", "0.3 s", "59.4 s", "0:03:05", "2:05:00", "3 days, 2:00:00", "-", "-"
    ]  # fmt: skip
    assert [size(v) for v in (10, 99_999, 1_234_567)] == ["0 kB", "100 kB", "1.2 MB"]
    assert moment("never") is None and moment("2026-11-23T20:00:00+0000") is not None
