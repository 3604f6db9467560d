"""Markdown of runs becomes tables, differences are found, texts are bounded."""

import math
import random
from pathlib import Path

import pytest
from made_runs import make_run

from impasto.report.record import Run, columns_of, find_differences, make_charts, read_run
from impasto.report.rendering import clean, duration, flatten, markdown, number
from impasto.run_folders import moment
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
    for run, version in zip(runs, "223", strict=True):
        run.environment = {"torch": version}
    runs += [_run("d", "apply", seed="9"), Run(Path("e"), "e")]
    (found,) = find_differences(runs)
    assert (found.command, found.runs, found.same) == ("train", [0, 1, 2], 1)
    assert found.rows == {"lr": ["1", "1", "2"], "x": ["y", "not set", "y"], "environment.torch": ["2", "2", "3"]}
    assert found.usual == {"lr": "1", "x": "y", "environment.torch": "2"}


def test_nothing_is_unusual_where_no_value_is_that_of_most() -> None:
    (found,) = find_differences([_run("a", lr="1"), _run("b", lr="2")])
    assert found.usual == {"lr": None}


def test_the_folder_of_a_run_is_no_difference(tmp_path: Path) -> None:
    paths = [make_run(tmp_path / n, config={"samples": {"folder": str(tmp_path / n)}, "lr": n}) for n in "ab"]
    (found,) = find_differences([read_run(path, path.name) for path in paths])
    assert list(found.rows) == ["lr"]


def test_keys_are_flattened_and_lists_are_one_text() -> None:
    nested = {"a": {"b": [1, None, True]}, "c": [{"d": 1.5}], "e": {}}
    assert flatten(nested) == {"a.b": "[1, null, true]", "c": '[{"d": 1.5}]', "e": "{}"}


def test_a_text_is_bounded_and_says_so() -> None:
    assert clean("a" * 600, 200) == "a" * 200 + "\n... (400 more characters)"
    assert clean("caf\udce9") == "caf?" and clean({"a": [1, None]}) == '{"a": [1, null]}'


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
    assert charts.groups["train"][1][1][0][1:] == [[0, 1, 2], [1, "nan", "-Infinity"]]
    assert columns_of(runs) == ["val/loss", "train/loss", "val/psnr", "train/a"]


def test_numbers_and_times_are_said_as_a_person_would() -> None:
    assert [number(v) for v in (0.0, 3.0, 1234.0, 0.15234567, 1e-7, math.nan, -math.inf, 1e300)] == [
        "0", "3", "1,234", "0.15235", "1e-07", "nan", "-inf", "1e+300"
    ]  # fmt: skip
    assert [duration(v) for v in (None, 0.3, 59.4, 185, 7500, 266_400, -1, math.inf)] == [
        "-", "0.3 s", "59.4 s", "0:03:05", "2:05:00", "3 days, 2:00:00", "-", "-"
    ]  # fmt: skip
    assert moment("never") is None and moment("2026-11-23T20:00:00+0000") is not None
