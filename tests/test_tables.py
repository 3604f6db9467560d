"""Laws of tables: what was written is read back, and numbers keep their digits."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from impasto.tables import digits, markdown, write_csv, write_json

ROWS: list[dict[str, Any]] = [
    {"name": 'a "quoted", name', "seconds": 1 / 3, "calls": 3},
    {"name": "Größe", "seconds": 1e-30, "calls": None, "more": True},
    {"calls": 0},
]


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("value", [ROWS, {"a": {"b": [1, 2.5, None, "ä"]}}, [], "text"])
def test_json_is_read_back_as_it_was(tmp_path: Path, value: object) -> None:
    path = tmp_path / "folder" / "table.json"
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value
    assert path.read_text(encoding="utf-8").endswith("\n")


def test_what_json_cannot_hold_is_refused_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    write_json(path, [1])
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"path": Path()})
    assert json.loads(path.read_text(encoding="utf-8")) == [1]
    assert [found.name for found in tmp_path.iterdir()] == ["table.json"]


def test_csv_is_read_back_with_a_column_for_every_key(tmp_path: Path) -> None:
    write_csv(tmp_path / "folder" / "table.csv", ROWS)
    found = _read_csv(tmp_path / "folder" / "table.csv")
    assert list(found[0]) == ["name", "seconds", "calls", "more"]
    assert [row["name"] for row in found] == ['a "quoted", name', "Größe", ""]
    assert [float(row["seconds"]) for row in found[:2]] == [1 / 3, 1e-30]
    assert [row["calls"] for row in found] == ["3", "", "0"]
    assert [row["more"] for row in found] == ["", "True", ""]


def test_a_csv_that_fails_leaves_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, [{"a": 1}])

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("unprintable")

    with pytest.raises(RuntimeError, match="unprintable"):
        write_csv(path, [{"a": 2}, {"a": Unprintable()}])
    assert _read_csv(path) == [{"a": "1"}]
    assert [found.name for found in tmp_path.iterdir()] == ["table.csv"]


# ---------------------------------------------------------------- Markdown


def _read_markdown(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


@pytest.mark.parametrize("rows", [[["1", "2"], ["3", "x y"]], []])
def test_a_markdown_table_is_read_back(rows: list[list[str]]) -> None:
    text = markdown(["size", "seconds"], rows)
    assert _read_markdown(text) == [["size", "seconds"], ["---", "---"], *rows]
    assert all(line.startswith("| ") and line.endswith(" |") for line in text.splitlines())
    assert text.endswith("\n")


# ---------------------------------------------------------------- digits


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.015234, "0.0152"),
        (1.0, "1"),
        (3.14159, "3.14"),
        (-3.14159, "-3.14"),
        (0.0, "0"),
        (999.4, "999"),
        (0.0001, "0.0001"),
        (999.5, "1,000"),
        (1060, "1,060"),
        (12345.6, "12,346"),
        (9.9e-5, "9.9e-05"),
        (-2e-6, "-2e-06"),
        (1.2345e10, "1.23e+10"),
        (None, "-"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_said_with_three_digits(value: float | None, expected: str) -> None:
    assert digits(value) == expected


@pytest.mark.parametrize(("value", "count", "expected"), [(0.015234, 2, "0.015"), (3.14159, 5, "3.1416")])
def test_as_many_digits_as_told_are_said(value: float, count: int, expected: str) -> None:
    assert digits(value, count) == expected


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    lines = markdown(["a|b", "c"], [["x\ny", "1"]]).splitlines()
    assert lines == ["| a\\|b | c |", "| --- | --- |", "| x y | 1 |"]
