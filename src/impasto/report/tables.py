"""Tables for the page: the Markdown that runs write, and what differs between runs."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from impasto.report.record import Run
from impasto.report.texts import Allowance

_MOST_COLUMNS = 40
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>])")
_NUMBER = re.compile(r"[-+]?(\d[\d,]*+(\.\d++)?|\.\d++)(e[-+]?\d++)?( ?[%*sx])?( \(.*\))?|-")
_CELL = 90  # characters of a value among the differences


class Span(NamedTuple):
    """A piece of text."""

    text: str
    bold: bool


class Cell(NamedTuple):
    """A cell of a table, or a line; numeric where the whole column is one of numbers."""

    spans: list[Span]
    numeric: bool


@dataclass
class Block:
    """A part of a Markdown text.

    Attributes:
        kind: "table", "list", "heading" or "paragraph".
        rows: of a table; the first are the names of its columns. Of anything else one cell a row.
    """

    kind: str
    rows: list[list[Cell]] = field(default_factory=list)


def read_markdown(text: str, *, cells: int) -> tuple[list[Block], int]:
    """Read the Markdown that impasto writes: tables, lists, headings, plain lines, `**bold**`. Links stay text.

    Args:
        text: Markdown.
        cells: at most; a line that is no row of a table is one.

    Returns:
        The blocks, and how many lines were left out.
    """
    blocks: list[Block] = []
    lines = text.splitlines()
    begins = True
    for number, line in enumerate(lines):
        line = line.strip()
        if not line:
            begins = True
            continue
        kind, rest = _kind(line)
        texts = _split(rest) if kind == "table" else [rest]
        if kind == "table" and all(re.fullmatch(r":?-+:?", cell) for cell in texts):
            continue
        cells -= len(texts)
        if cells < 0:
            return _with_columns(blocks), len(lines) - number
        if begins or kind == "heading" or blocks[-1].kind != kind:
            blocks.append(Block(kind))
        blocks[-1].rows.append([_cell(cell) for cell in texts])
        begins = False
    return _with_columns(blocks), 0


def _with_columns(blocks: list[Block]) -> list[Block]:
    """A column of numbers stands to the right, its name as well."""
    for block in blocks:
        if block.kind == "table" and len(block.rows) > 1:
            width = max(len(row) for row in block.rows)
            numeric = [all(row[i].numeric for row in block.rows[1:] if i < len(row)) for i in range(width)]
            block.rows = [[cell._replace(numeric=numeric[i]) for i, cell in enumerate(row)] for row in block.rows]
    return blocks


def _kind(line: str) -> tuple[str, str]:
    if line.startswith("|"):
        return "table", line
    if line.startswith(("- ", "* ")):
        return "list", line[2:]
    if heading := re.match(r"#{1,6} +", line):
        return "heading", line[heading.end() :]
    return "paragraph", line


def _split(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip("|") if not line.endswith("\\|") else line.removeprefix("|"))
    return [cell.strip() for cell in cells][:_MOST_COLUMNS]


def _cell(text: str) -> Cell:
    pieces = text.split("**")
    if len(pieces) % 2 == 0:  # one that is never closed
        pieces = [text]
    spans = [Span(_ESCAPED.sub(r"\1", piece), bool(index % 2)) for index, piece in enumerate(pieces) if piece]
    return Cell(spans, bool(_NUMBER.fullmatch("".join(span.text for span in spans))))


class Value(NamedTuple):
    """A value of one run, and whether most of the others have another."""

    text: str
    unusual: bool


@dataclass
class Differences:
    """Settings whose values differ among the runs of one command.

    Attributes:
        command: of impasto.
        runs: their numbers.
        rows: by key, a value for each run.
        same: how many keys have the same value in all.
        left_out: keys that differ and are not shown.
    """

    command: str
    runs: list[int]
    rows: dict[str, list[Value]] = field(default_factory=dict)
    same: int = 0
    left_out: int = 0


def find_differences(runs: Sequence[Run], allowance: Allowance) -> list[Differences]:
    """Compare the configurations of the runs of each command.

    Args:
        runs: all runs.
        allowance: bytes that all the tables may take.
    """
    found = []
    for command in dict.fromkeys(run.command for run in runs if run.settings):
        numbers = [i for i, run in enumerate(runs) if run.settings and run.command == command]
        if len(numbers) > 1:
            found.append(_compared(command, numbers, [runs[i].settings for i in numbers], allowance))
    return found


def _compared(command: str, numbers: list[int], settings: list[dict[str, str]], allowance: Allowance) -> Differences:
    table = Differences(command, numbers)
    for key in dict.fromkeys(key for one in settings for key in one):
        values = [one.get(key) for one in settings]
        if len(set(values)) == 1:
            table.same += 1
            continue
        shown = ["not set" if value is None else _shortened(value) for value in values]
        taken = sum(len(text.encode("utf-8", "replace")) * 2 + 40 for text in [key, *shown])
        if taken > allowance.left:
            table.left_out += 1
            continue
        allowance.left -= taken
        table.rows[key] = [Value(*pair) for pair in zip(shown, _unusual(values), strict=True)]
    return table


def _shortened(text: str) -> str:
    return text if len(text) <= _CELL else f"{text[: _CELL - 20]} ... {text[-15:]}"


def _unusual(values: Sequence[str | None]) -> list[bool]:
    """Say of each value whether more than half of all are another one."""
    value, count = Counter(values).most_common(1)[0]
    return [2 * count > len(values) and other != value for other in values]


def mark_unusual(environments: Sequence[dict[str, str]]) -> list[dict[str, bool]]:
    """Say which values differ between environments: from that of more than half, or any where there is none such.

    Args:
        environments: flattened.
    """
    values = {key: [other[key] for other in environments if key in other] for one in environments for key in one}
    most = {key: Counter(found).most_common(1)[0] for key, found in values.items()}
    differs = {key: len(set(found)) > 1 for key, found in values.items()}
    return [
        {k: differs[k] and (v != most[k][0] or 2 * most[k][1] <= len(values[k])) for k, v in one.items()}
        for one in environments
    ]
