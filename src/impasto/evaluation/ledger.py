"""The ledger: every table and figure of the papers, what it reports, what we measured, and how that was done."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import model_validator

from impasto.evaluation.comparison import Cells, Comparison, Figures, Keys, Listed, Table
from impasto.tables import markdown

_HEAD = {"data": "Data", "loss network": "Loss network", "machine": "Machine", "date": "Date"}  # of results pages
_TITLES = ["what", "the paper's", "source", "ours", "state", "command", "data; loss network; machine; date"]
_INTRODUCTION = """---
hide: [toc, navigation]
---
# The ledger

Every table and figure of the three papers, and what we measured. `impasto evaluate experiment=ledger` writes this page.
It reads our figures from the results pages, and those of the papers that stand there; `conf/experiment/ledger.yaml`
says where each is, and holds the rest. A semicolon separates rows of a results page, a comma columns. A star is *from
memory*, not checked against the PDF.

*Reproduced*: within 4 % of the paper's figures. *In direction*: what the paper compares comes out in the same order or
near its ratio, but data, machine or network are others. *Not in the papers*: ours alone.

"""


class Place(Keys):
    """Where figures stand on a page: in columns of the rows that begin so, or in a sentence."""

    page: str
    row: Annotated[tuple[str, ...], Listed] = ()  # the first cells, as "Set5 | x4"; * stands for anything
    columns: tuple[str, ...] = ()  # of each cell the first word is taken
    sentence: str | None = None  # instead: a regular expression, with a group for each figure


class Entry(Keys):
    """A table or figure of a paper, or a part of it."""

    what: str
    paper: str | Place = "-"
    source: str = "-"  # of the paper's figure
    ours: Place | None = None
    state: Literal["reproduced", "reproduced in direction", "not reproduced", "not run", "not in the papers"]
    command: str | None = None  # where nothing was run; else the results page has it
    needs: str | None = None  # what is missing for more

    @model_validator(mode="after")
    def _agrees(self) -> Self:  # the state with what the row holds
        if (self.state == "not run") != (self.ours is None) or (self.ours is None) != (self.command is not None):
            raise ValueError(f"either 'not run' with its command or a place of our figure, in {self.what!r}")
        if self.needs is None and self.state not in ("reproduced", "not in the papers"):
            raise ValueError(f"a row with what it needs, since it is {self.state}, in {self.what!r}")
        return self


class _Line(NamedTuple):
    about: dict[str, str]  # command, machine and so on, as the table above says
    titles: list[str]
    cells: list[str]  # one: no row of a table


def _lines(text: str) -> Iterator[_Line]:
    """Read a results page line by line."""
    about, titles, before = dict[str, str](), list[str](), list[str]()
    for line in text.splitlines():
        plain = line.replace("**", "")
        cells = [cell.strip() for cell in plain[1:-1].split("|")] if line.startswith("|") else [plain]
        if line == "| | |":
            about = {}
        elif line.startswith("| **") and len(cells) == 2:
            about = {**about, cells[0]: cells[1]}
        elif line.startswith(("|---", "| ---")):
            titles = before
        yield _Line(about, titles, cells)
        before = cells


class Ledger(Comparison):
    """One row for every table and figure, read from the pages that commands' results are on."""

    name: ClassVar[str] = "ledger"
    pages: Path
    rows: dict[str, list[Entry]]  # by paper

    def about(self) -> dict[str, Any]:
        """Say what the pages hold."""
        return {page.name: hashlib.sha256(page.read_bytes()).hexdigest() for page in sorted(self.pages.glob("*.md"))}

    def cells(self) -> Cells:
        """Return a cell for each row."""
        return {f"{paper}, {e.what}": partial(self._row, paper, e) for paper, rows in self.rows.items() for e in rows}

    def _row(self, paper: str, entry: Entry) -> Figures:
        theirs = entry.paper if isinstance(entry.paper, str) else self._read(entry.paper)[0]
        ours, about = ("-", {}) if entry.ours is None else self._read(entry.ours)
        return {
            "paper": paper,
            "what": entry.what,
            "the paper's": theirs,
            "source": entry.source,
            "ours": ours,
            "page": entry.ours.page if entry.ours else "-",
            "state": entry.state if entry.needs is None else f"{entry.state}; needs {entry.needs}",
            "command": about.get("Command", "-") if entry.command is None else f"`{entry.command}`",
            **{name: about.get(title, "-") for name, title in _HEAD.items()},
        }

    def _read(self, place: Place) -> tuple[str, dict[str, str]]:
        """Return the figures of a place, and what its page says of how they were measured."""
        found, about = list[str](), dict[str, str]()
        for line in _lines((self.pages / place.page).read_text(encoding="utf-8")):
            row, cells = " | ".join(line.cells), dict(zip(line.titles, line.cells, strict=False))
            if place.sentence is not None:
                new = [", ".join(match.groups()) for match in re.finditer(place.sentence, line.cells[0])]
            elif any(fnmatchcase(row, f"{start}*") for start in place.row) and {*place.columns} <= {*cells}:
                new = [", ".join(cells[column].split()[0] for column in place.columns)]
            else:
                new = []
            if new and (not found or line.about is about):  # of one section, the first that has any
                found, about = [*found, *new], line.about
        if not found:
            where = f"{place.sentence or place.row} on {self.pages / place.page}"
            raise ValueError(f"expected figures at {where}, got none")
        return "; ".join(found), about

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """Make a table for each paper, and count the states."""
        states = Counter(entry.state for rows in self.rows.values() for entry in rows)
        text = _INTRODUCTION + ", ".join(f"{count} {state}" for state, count in states.items()) + ".\n"
        for paper in self.rows:
            lines = []
            for row in (row for row in figures.values() if row["paper"] == paper):
                ours, measured = row["ours"], "-"
                if row["page"] != "-":
                    ours, measured = f"[{ours}]({row['page']})", "; ".join(row[name] for name in _HEAD)
                where = [row["what"], row["the paper's"], row["source"]]
                lines.append([*where, ours, row["state"], row["command"], measured])
            text += f"\n## {paper}\n\n" + markdown(_TITLES, lines)
        return Table([*figures.values()], text)
