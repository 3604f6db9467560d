"""Tables as JSON, CSV and Markdown, whole files all."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.files import whole_file, write_text


def write_json(path: Path, value: object) -> None:
    """Write plain data as JSON."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, first: Sequence[str] = ()) -> None:
    """Write rows as CSV; the first columns, then one for every key that any row has, in the order they appear."""
    columns = list(dict.fromkeys([*first, *(key for row in rows for key in row)]))
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped, a line break becomes a space."""
    cells = [[" ".join(cell.split("\n")).replace("|", "\\|") for cell in row] for row in (columns, *rows)]
    lines = [cells[0], ["---"] * len(columns), *cells[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def digits(value: float | None, count: int = 3) -> str:
    """Say a number with so many significant digits, without an exponent where it is readable: `"0.0152"`, `"1,060"`."""
    if value is None:
        return "-"
    text = f"{value:.{count}g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < 1e7 else text


def fixed(value: float | None, places: int) -> str:
    """Say a number with so many digits behind the point."""
    return "-" if value is None else f"{value:.{places}f}"
