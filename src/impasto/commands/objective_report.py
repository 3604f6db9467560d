"""What the evaluation of the objective says: its table, its sentences, its plot."""

import statistics
from pathlib import Path
from typing import Any

from impasto.evaluation.objective import Curve, crossings, mean_curve, seconds_below
from impasto.evaluation.plots import plot_curves
from impasto.files import write_text
from impasto.tables import digits, markdown, write_csv, write_json

Row = dict[str, Any]


class Report:
    """Means over the photographs of each size.

    Args:
        results: as the evaluation saves them.
        marks: calls at which the loss is shown.
        reference: the curve with whose loss at the second mark the others' seconds are compared; None for none.
    """

    def __init__(self, results: dict[str, Any], *, marks: list[int], reference: str | None) -> None:
        self.results, self.marks, self.reference = results, marks, reference

    def _photographs(self, size: str) -> list[dict[str, Any]]:
        return list(self.results["measured"][size].values())

    def _curves(self, size: str, name: str) -> list[Curve]:
        return [Curve(**photograph["curves"][name]) for photograph in self._photographs(size)]

    def _names(self, size: str) -> list[str]:
        return list(self._photographs(size)[0]["curves"])

    def _lines(self, size: str) -> dict[str, float]:
        lines = [photograph["lines"] for photograph in self._photographs(size)]
        return {name: statistics.fmean(line[name] for line in lines) for name in lines[0]}

    def rows(self) -> list[Row]:
        """Return a row a size and method: the mean loss and seconds at the marks; a line is the same at each."""
        rows = []
        for size in self.results["measured"]:
            shared = {"size": int(size), "photographs": len(self._photographs(size))}
            for name in self._names(size):
                curve = mean_curve(self._curves(size, name))
                row: Row = {**shared, "method": name}
                for mark in self.marks:
                    within = mark < len(curve.values)
                    row[f"loss_{mark}"] = curve.values[mark] if within else None
                    row[f"seconds_{mark}"] = curve.seconds[mark] if within else None
                rows.append(row)
            for name, value in self._lines(size).items():
                line = {f"loss_{mark}": value for mark in self.marks}
                rows.append({**shared, "method": name, **line, **{f"seconds_{mark}": None for mark in self.marks}})
        return rows

    def text(self) -> str:
        """Return the table in Markdown, with what it says in sentences."""
        columns = ["size", "photographs", "method", *(f"loss after {mark} (seconds)" for mark in self.marks)]
        lines = []
        for row in self.rows():
            cells = [self._cell(row, mark) for mark in self.marks]
            lines.append([str(row["size"]), str(row["photographs"]), row["method"], *cells])
        machine = self.results["machine"]
        where = machine["gpu"] or f"{machine['processor']}, {machine['threads']} threads"
        about = f"{where}; {self.results['precision']}; loss network {self.results['loss_network']}."
        sentences = [line for size in self.results["measured"] for line in self._sentences(size)]
        return "\n".join([markdown(columns, lines), about, *sentences]) + "\n"

    @staticmethod
    def _cell(row: Row, mark: int) -> str:
        if row[f"loss_{mark}"] is None:
            return "-"
        seconds = row[f"seconds_{mark}"]
        return f"{row[f'loss_{mark}']:.4g}" + (f" ({digits(seconds)})" if seconds is not None else "")

    def _sentences(self, size: str) -> list[str]:
        told = []
        lines = self._lines(size)
        for name in self._names(size):
            curves = self._curves(size, name)
            curve = mean_curve(curves)
            for line, call in crossings(curve, lines).items():
                when = f"after {call} calls" if call is not None else f"not within {len(curve.values) - 1} calls"
                told.append(f"- {size} px: {name} passes {line} ({lines[line]:.4g}) {when}")
            if self.reference is not None and name != self.reference:
                told.append(self._compared(size, name, curves))
        return told

    def _compared(self, size: str, name: str, curves: list[Curve]) -> str:
        assert self.reference is not None
        mark = self.marks[1]
        shares, lower = [], 0
        for curve, other in zip(curves, self._curves(size, self.reference), strict=True):
            seconds = seconds_below(curve, other.values[mark])
            shares.append(float("inf") if seconds is None else seconds / other.seconds[mark])
            lower += all(curve.values[m] < other.values[m] for m in self.marks if m < len(curve.values))
        return (
            f"- {size} px: {name} reaches the loss that {self.reference} has after {mark} calls in "
            f"{statistics.median(shares):.2f} of its seconds (median; {min(shares):.2f} to {max(shares):.2f}); "
            f"lower at every mark on {lower} of {len(curves)} photographs"
        )

    def write(self, folder: Path) -> None:
        """Write `objective.json`, `.csv`, `.md` and `.png`."""
        write_json(folder / "objective.json", self.results)
        write_csv(folder / "objective.csv", self.rows())
        write_text(folder / "objective.md", self.text())
        panels = {
            f"{size} px, photographs: {len(self._photographs(size))}": (
                {name: mean_curve(self._curves(size, name)) for name in self._names(size)},
                self._lines(size),
            )
            for size in self.results["measured"]
        }
        caption = f"{self.results['style'].get('title')}; {self.results['loss_network']}"
        plot_curves(folder / "objective.png", panels, caption=caption)
