"""Laws of the one loop: every cell is measured once and saved at once; what was measured otherwise is measured anew."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from compared import compared
from pydantic import ValidationError

from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Table, fingerprint, run_comparison


class Squares(Comparison):
    """Squares of numbers, of which one may be stopped."""

    name: ClassVar[str] = "squares"
    numbers: list[Count]
    measured: list[int]  # those that were, one after the other
    stop: Callable[[int], bool] = lambda number: False
    network: str = "a"

    def about(self) -> dict[str, Any]:  # noqa: D102 (as the others: of Comparison)
        return {"network": self.network}

    def cells(self) -> Cells:  # noqa: D102
        def measure(number: int) -> Figures:
            if self.stop(number):
                raise KeyboardInterrupt
            self.measured.append(number)
            return {"number": number, "square": number**2}

        return {str(number): lambda number=number: measure(number) for number in self.numbers}  # type: ignore[misc]

    def table(self, figures: Mapping[str, Figures]) -> Table:  # noqa: D102
        rows = [figures[str(number)] for number in self.numbers]
        return Table(rows, self.words(["number", "square"], [[*map(str, row.values())] for row in rows], ["Exact."]))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:  # noqa: D102
        path.write_text("picture")
        return [path]


def _squares(*numbers: int, **changed: Any) -> Squares:
    return Squares(**{"numbers": list(numbers), "measured": [], "device": "cpu"} | changed)


def test_all_files_are_written_and_agree(tmp_path: Path) -> None:
    table, pictures = run_comparison(_squares(2, 3), tmp_path, about={}, resume=False, progress=lambda done, name: None)
    told = json.loads((tmp_path / "squares.json").read_text())
    assert told["rows"] == table.rows == [{"number": 2, "square": 4}, {"number": 3, "square": 9}]
    assert told["cells"]["3"] == {"number": 3, "square": 9} and told["machine"]["torch"] == torch.__version__
    with (tmp_path / "squares.csv").open() as file:
        assert [row["square"] for row in csv.DictReader(file)] == ["4", "9"]
    text = (tmp_path / "squares.md").read_text()
    assert text == table.text and "| 3 | 9 |" in text and "torch" in text and text.endswith("Exact.\n")
    assert pictures == [tmp_path / "squares.png"] and pictures[0].read_text() == "picture"


def test_each_cell_is_saved_at_once_and_a_resumed_run_repeats_none(tmp_path: Path) -> None:
    stopped = _squares(2, 3, 4, stop=lambda number: number == 4)
    with pytest.raises(KeyboardInterrupt):
        compared(stopped, tmp_path)
    assert list(json.loads((tmp_path / "squares.json").read_text())["cells"]) == ["2", "3"]
    assert not (tmp_path / "squares.md").exists()
    resumed = _squares(2, 3, 4)
    assert len(compared(resumed, tmp_path, resume=True)["rows"]) == 3
    assert resumed.measured == [4]


@pytest.mark.parametrize("changed", [{"size": 1}, {}])
def test_another_key_or_network_is_measured_anew(tmp_path: Path, changed: dict[str, int]) -> None:
    compared(_squares(2, 3), tmp_path)
    again = _squares(2, 3, network="a" if changed else "b")
    compared(again, tmp_path, resume=True, **changed)
    assert again.measured == [2, 3]


def test_without_a_resume_all_is_measured(tmp_path: Path) -> None:
    for _ in range(2):
        found = _squares(2)
        compared(found, tmp_path)
        assert found.measured == [2]


def test_progress_names_the_cells_one_by_one(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []
    run_comparison(_squares(5, 6), tmp_path, about={}, resume=False, progress=lambda *told: seen.append(told))
    assert seen == [(0, "5"), (1, "6")]


@pytest.mark.parametrize("changed", [{"numbers": [0]}, {"numbers": [True]}, {"number": 3}, {"device": None}])
def test_keys_out_of_range_and_unknown_ones_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _squares(**changed)


def test_a_fingerprint_is_that_of_the_weights() -> None:
    torch.manual_seed(0)
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert fingerprint(one) != fingerprint(other)
    other.load_state_dict(one.state_dict())
    assert fingerprint(one) == fingerprint(other)
