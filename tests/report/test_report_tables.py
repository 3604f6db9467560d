"""Markdown of runs becomes tables, differences are found, texts keep within their bytes."""

import html
import json
import math
import random
import time
from pathlib import Path

import pytest
from made_runs import HOSTILE, make_run

from impasto.report.charts import as_json, columns_of, make_charts
from impasto.report.record import Run, read_run
from impasto.report.tables import Block, find_differences, mark_unusual, read_markdown
from impasto.report.texts import Allowance, duration, flatten, moment, number, size
from impasto.tables import markdown


def _texts(block: Block) -> list[list[str]]:
    return [["".join(span.text for span in cell.spans) for cell in row] for row in block.rows]


def test_the_tables_that_runs_write_are_read() -> None:
    text = f"{markdown(['size', 'here'], [['**256**', '1.5 *'], ['512', '-']])}\nAMD EPYC.\n\\* so\n- one\n- **two**\n"
    blocks, left_out = read_markdown(text, cells=100)
    assert [block.kind for block in blocks] == ["table", "paragraph", "list"]
    assert _texts(blocks[0]) == [["size", "here"], ["256", "1.5 *"], ["512", "-"]]
    assert [span.bold for span in blocks[0].rows[1][0].spans] == [True]
    assert [[cell.numeric for cell in row] for row in blocks[0].rows] == [[True, True]] * 3  # also their names
    assert _texts(blocks[1]) == [["AMD EPYC."], ["* so"]]
    assert _texts(blocks[2]) == [["one"], ["two"]] and left_out == 0


def test_two_tables_stay_two_and_links_stay_text() -> None:
    text = "## Title\n| a |\n| --- |\n| 1 |\n\n| b |\n| --- |\n[x](javascript:alert(1)) **open\n| a \\| b | c |\n"
    blocks, _ = read_markdown(text, cells=100)
    assert [block.kind for block in blocks] == ["heading", "table", "table", "paragraph", "table"]
    assert _texts(blocks[3]) == [["[x](javascript:alert(1)) **open"]]
    assert _texts(blocks[4]) == [["a | b", "c"]]


def test_long_tables_are_cut_and_that_is_told() -> None:
    text = markdown(["a", "b"], [[str(i), "x"] for i in range(1000)])
    blocks, left_out = read_markdown(text, cells=20)
    assert len(blocks[0].rows) == 10 and left_out == 1002 - 11


@pytest.mark.parametrize("text", ["|", "||||", "**", "** ** **", "#", "# ", "- ", "\\|", "|\\", "| " * 9999, "\0"])
def test_any_text_is_taken(text: str) -> None:
    read_markdown(text, cells=50)


@pytest.mark.parametrize(
    "text",
    ["1" * 40_000 + " y", "1," * 20_000 + "y", "." + "1" * 40_000 + "y", "1e" + "1" * 40_000 + "y"],
    ids=range(4),
)
def test_no_cell_takes_long(text: str) -> None:
    begin = time.process_time()
    read_markdown(f"| a |\n| --- |\n| {text} |", cells=50)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    "numbers", [["0", "-1.5", "1,000", "1,000.25", ".5", "1e-5", "12%", "2x"], ["12 %", "1.07 (1-2)"]]
)
def test_columns_of_numbers_stand_to_the_right(numbers: list[str]) -> None:
    for cells, numeric in ((numbers, True), ([*numbers, "1."], False), ([*numbers, ","], False)):
        (block,), _ = read_markdown(markdown(["a"], [[cell] for cell in cells]), cells=50)
        assert [row[0].numeric for row in block.rows] == [numeric] * (len(cells) + 1)


def _run(name: str, command: str = "train", **settings: str) -> Run:
    return Run(Path(name), name, command=command, settings=settings)


def test_only_what_differs_within_a_command_is_a_difference() -> None:
    runs = [_run("a", seed="0", lr="1", x="y"), _run("b", seed="0", lr="1"), _run("c", seed="0", lr="2", x="y")]
    runs += [_run("d", "apply", seed="9"), Run(Path("e"), "e")]
    (table,) = find_differences(runs, Allowance(10_000))
    assert (table.command, table.runs, table.same, table.left_out) == ("train", [0, 1, 2], 1, 0)
    assert [value.text for value in table.rows["lr"]] == ["1", "1", "2"]
    assert [value.unusual for value in table.rows["lr"]] == [False, False, True]
    assert [value.text for value in table.rows["x"]] == ["y", "not set", "y"]


def test_nothing_is_unusual_where_no_value_is_that_of_most() -> None:
    (table,) = find_differences([_run("a", lr="1"), _run("b", lr="2")], Allowance(10_000))
    assert [value.unusual for value in table.rows["lr"]] == [False, False]


def test_differences_keep_within_their_bytes() -> None:
    runs = [_run(str(i), **{f"key{k}": f"{'v' * 50}{i}" for k in range(100)}) for i in range(10)]
    (table,) = find_differences(runs, Allowance(10_000))
    assert 0 < len(table.rows) < 10 and table.left_out == 100 - len(table.rows)


def test_the_folder_of_a_run_is_no_difference(tmp_path: Path) -> None:
    paths = [make_run(tmp_path / n, config={"samples": {"folder": str(tmp_path / n)}, "lr": n}) for n in "ab"]
    (table,) = find_differences([read_run(path, path.name, points=10) for path in paths], Allowance(10_000))
    assert list(table.rows) == ["lr"]


def test_environments_are_compared() -> None:
    most, other = {"torch": "2.15", "cores": "2"}, {"torch": "2.11", "cores": "2", "gpu": "H100"}
    assert mark_unusual([most, most, other]) == [
        {"torch": False, "cores": False},
        {"torch": False, "cores": False},
        {"torch": True, "cores": False, "gpu": False},
    ]
    assert [marks["torch"] for marks in mark_unusual([most, other])] == [True, True]


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


@pytest.mark.parametrize("value", [*HOSTILE, "\ud800", "]]>", {"<script>": [1.5, None]}])
def test_json_in_the_page_ends_no_script_and_says_the_same(value: object) -> None:
    text = str(as_json(value))
    assert json.loads(text) == value
    assert text.isascii() and not set(text) & set("<>&\u2028")


def test_json_in_the_page_has_no_word_for_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json(math.nan)


def test_charts_are_grouped_bounded_and_keep_what_is_not_finite(tmp_path: Path) -> None:
    draw = random.Random(0)
    names = ["val/psnr", "train/loss", "speed/x", "train/a", "val/loss", "plain"]
    for run in range(3):
        metrics = {name: [draw.random() for _ in range(3_000)] for name in names} | {
            "train/a": [1.0, math.nan, -math.inf]
        }
        make_run(tmp_path / str(run), metrics={"train/a": metrics.pop("train/a")})
        make_run(tmp_path / f"long{run}", metrics=metrics)
    runs = [read_run(path, path.name, points=800) for path in sorted(tmp_path.iterdir())]
    charts = make_charts(runs)
    assert list(charts.groups) == ["train", "val", "", "speed"]
    assert [chart.name for chart in charts.groups["train"]] == ["train/loss", "train/a"]
    assert [chart.name for chart in charts.groups["val"]] == ["val/loss", "val/psnr"]
    assert charts.thinned and charts.points == 400
    curves = json.loads(charts.groups["train"][0].data)
    assert len(curves) == 3 and all(len(steps) == len(values) <= 400 for _, steps, values in curves)
    assert json.loads(charts.groups["train"][1].data)[0][1:] == [[0, 1, 2], [1, "NaN", "-Infinity"]]
    assert columns_of(runs) == ["val/loss", "train/loss", "val/psnr", "plain", "train/a"]


def test_numbers_and_times_are_said_as_a_person_would() -> None:
    assert [number(v) for v in (0.0, 3.0, 1234.0, 0.15234567, 1e-7, math.nan, -math.inf, 1e300)] == [
        "0", "3", "1,234", "0.15235", "1e-07", "NaN", "-infinity", "1e+300"
    ]  # fmt: skip
    assert [duration(v) for v in (None, 0.3, 59.4, 185, 7500, 266_400, -1, math.inf)] == [
        "-", "0.3 s", "59 s", "3 min 5 s", "2 h 5 min", "3 d 2 h", "-", "-"
    ]  # fmt: skip
    assert [size(v) for v in (10, 99_999, 1_234_567)] == ["0 kB", "100 kB", "1.2 MB"]
    assert moment("never") is None and moment("2026-11-23T20:00:00+0000") is not None
