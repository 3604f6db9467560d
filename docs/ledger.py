"""Write docs/results/ledger.md: every table and figure of the papers beside our figures: python docs/ledger.py.

docs/ledger.yaml has a row for each, and says where its figures stand on the pages of docs/results/.
"""

import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from impasto.files import write_text
from impasto.tables import markdown

FOLDER = Path(__file__).parent
STATES = ("reproduced", "reproduced in direction", "not reproduced", "not run", "not in the papers")
_ABOUT = ("Data", "Loss network", "Machine", "Date")  # of results pages
_TITLES = ["what", "the paper's", "source", "ours", "state", "command", "data; loss network; machine; date"]
_INTRODUCTION = """---
hide: [toc, navigation]
---
# The ledger

Every table and figure of the three papers, and what we measured. `python docs/ledger.py` writes this page. It reads our
figures from the results pages, and those of the papers that stand there; `docs/ledger.yaml` says where each is, and
holds the rest. A semicolon separates rows of a results page, a comma columns. A star is *from memory*, not checked
against the PDF. What is *not in the papers* is ours alone.

"""
Entry = dict[str, Any]


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


def _figures(line: _Line, place: Entry) -> list[str]:
    """What a line has at a place: a regular expression's groups, or the first words in columns of a row."""
    if "sentence" in place:
        return [", ".join(match.groups()) for match in re.finditer(place["sentence"], line.cells[0])]
    rows = [place["row"]] if isinstance(place["row"], str) else place["row"]
    cells = dict(zip(line.titles, line.cells, strict=False))
    meant = any(fnmatchcase(" | ".join(line.cells), f"{row}*") for row in rows) and {*place["columns"]} <= {*cells}
    return [", ".join(cells[column].split()[0] for column in place["columns"])] if meant else []


def read(place: Entry, pages: Path) -> tuple[str, dict[str, str]]:
    """Return the figures of a place, and what its page says of how they were measured."""
    found, about = list[str](), dict[str, str]()
    for line in _lines((pages / place["page"]).read_text(encoding="utf-8")):
        new = _figures(line, place)
        if new and (not found or line.about is about):  # of one section, the first that has any
            found, about = [*found, *new], line.about
    if not found:
        raise ValueError(f"expected figures at {place} in {pages}, got none")
    return "; ".join(found), about


def row(entry: Entry, pages: Path) -> list[str]:
    """Return a row of the ledger; a ValueError refuses a state that the entry does not bear out."""
    state, ours, needs = entry["state"], entry.get("ours"), entry.get("needs")
    if state not in STATES or (state == "not run") != (ours is None) or (ours is None) != ("command" in entry):
        raise ValueError(f"expected 'not run' with its command, or a place of our figure, in {entry['what']!r}")
    if needs is None and state not in ("reproduced", "not in the papers"):
        raise ValueError(f"expected what it needs, since it is {state}, in {entry['what']!r}")
    theirs = entry.get("paper", "-")
    theirs = theirs if isinstance(theirs, str) else read(theirs, pages)[0]
    said = [entry["what"], theirs, entry.get("source", "-")]
    state = state if needs is None else f"{state}; needs {needs}"
    if ours is None:
        return [*said, "-", state, f"`{entry['command']}`", "-"]
    figures, about = read(ours, pages)
    measured = "; ".join(about.get(name, "-") for name in _ABOUT)
    return [*said, f"[{figures}]({ours['page']})", state, about.get("Command", "-"), measured]


def page(papers: dict[str, list[Entry]], pages: Path) -> str:
    """Return the ledger's page: a table for each paper, and how often each state is."""
    states = Counter(entry["state"] for entries in papers.values() for entry in entries)
    text = _INTRODUCTION + ", ".join(f"{count} {state}" for state, count in states.items()) + ".\n"
    for paper, entries in papers.items():
        text += f"\n## {paper}\n\n" + markdown(_TITLES, [row(entry, pages) for entry in entries])
    return text


if __name__ == "__main__":
    known = yaml.safe_load((FOLDER / "ledger.yaml").read_text(encoding="utf-8"))
    write_text(FOLDER / "results" / "ledger.md", page(known, FOLDER / "results"))
