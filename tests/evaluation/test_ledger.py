"""The ledger: every row finds its figures, its page is what the command writes, and no other page says otherwise."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result
from pydantic import ValidationError

from impasto.evaluation.ledger import Entry, Ledger

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/results"
HEADLINES = [
    (page.name, line.split("|")[2])
    for page in (ROOT / "README.md", RESULTS / "index.md")
    for line in page.read_text(encoding="utf-8").splitlines()
    if re.match(r"\|[^|]+\|[^|]*\*\*[^|]*\|", line)
]
_PAGE = """
| | |
|---|---|
| **Command** | `impasto benchmark` |
| **Machine** | two cores |

| size | seconds | ratio |
| --- | --- | --- |
| **256, here** | 1.5 (1-2) | 7 * |
| 256, 2016 | 3 | 9* |

It takes 12 to 14 steps.
"""


def _numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def _row(tmp_path: Path, **entry: object) -> dict[str, str]:
    (tmp_path / "page.md").write_text(_PAGE)
    rows = {"A paper": [{"what": "a table", "state": "reproduced", **entry}]}
    (measure,) = Ledger(device="cpu", pages=tmp_path, rows=rows).cells().values()
    return measure()


def test_figures_are_read_from_columns_and_sentences_with_how_they_were_measured(tmp_path: Path) -> None:
    here = {"page": "page.md", "row": "*here", "columns": ["ratio", "seconds"]}
    row = _row(tmp_path, ours=here, paper={**here, "row": "* | 3", "columns": ["ratio"]})
    assert (row["ours"], row["the paper's"]) == ("7, 1.5", "9*")
    assert (row["command"], row["machine"], row["date"]) == ("`impasto benchmark`", "two cores", "-")
    assert _row(tmp_path, ours={"page": "page.md", "sentence": r"(\d+) to (\d+) steps"})["ours"] == "12, 14"


@pytest.mark.parametrize("place", [{"row": "512", "columns": ["ratio"]}, {"row": "256", "columns": ["speed"]}])
def test_a_figure_that_is_not_there_is_refused(tmp_path: Path, place: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected figures at .* on .*page.md, got none"):
        _row(tmp_path, ours={"page": "page.md", **place})


@pytest.mark.parametrize(
    "wrong", [{"state": "not run"}, {"state": "reproduced"}, {"state": "not reproduced", "ours": {"page": "page.md"}}]
)
def test_a_state_that_the_row_does_not_bear_out_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="in 'a table'"):
        Entry(**{"what": "a table", **wrong})


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """Those of docs/results/ledger.md, which a test holds to be what the command writes."""
    lines = [line.split("|") for line in (RESULTS / "ledger.md").read_text(encoding="utf-8").splitlines()]
    names = ("what", "paper", "source", "ours", "state")
    return [dict(zip(names, map(str.strip, cells[1:]), strict=False)) for cells in lines if len(cells) == 9]


def test_the_page_is_what_the_command_writes(impasto: Callable[..., Result]) -> None:
    result = impasto("evaluate", "experiment=ledger", f"evaluation.pages={RESULTS}")
    assert result.code == 0, result.err
    written = (result.folder / "ledger.md").read_text(encoding="utf-8")
    page = RESULTS / "ledger.md"
    assert written == page.read_text(encoding="utf-8"), f"copy the ledger.md of that command's run folder to {page}"
    with (result.folder / "ledger.csv").open(encoding="utf-8") as file:
        assert {row["state"].partition(";")[0] for row in csv.DictReader(file)} >= {"reproduced", "not run"}


def test_what_is_called_reproduced_is_as_near_as_the_page_says(rows: list[dict[str, str]]) -> None:
    reproduced = [row for row in rows if row["state"] == "reproduced"]
    assert len(reproduced) >= 3
    for row in reproduced:
        ours = row["ours"].partition("](")[0]
        assert _numbers(ours) == pytest.approx(_numbers(row["paper"]), rel=0.04), row["what"]


@pytest.mark.parametrize(("page", "cell"), HEADLINES)
def test_headline_figures_are_in_one_row_of_the_ledger(rows: list[dict[str, str]], page: str, cell: str) -> None:
    said = re.findall(r"\*\*(.+?)\*\*", cell)
    figures = [re.findall(r"([\d.]+)( %)?", text) for text in said]

    def has(row: dict[str, str], number: str, percent: str) -> bool:
        wanted, places = float(number), len(number.partition(".")[2])
        return any(round(100 * n if percent else n, places) == wanted for n in _numbers(row["ours"]))

    assert any(all(has(row, *number) for found in figures for number in found) for row in rows), f"{page}: {said}"
