"""What the ablations of a colorizer say: a table."""

import math
from pathlib import Path
from typing import Any

from impasto.files import write_text
from impasto.tables import markdown, write_csv, write_json

_COLUMNS = {
    "ciede2000": ("CIEDE2000", 2),
    "psnr_ab": ("PSNR ab, dB", 2),
    "psnr_rgb": ("PSNR RGB, dB", 2),
    "colourfulness": ("colourfulness", 1),
    "top1": ("top-1", 3),
    "top5": ("top-5", 3),
    "steps": ("steps", 0),
}


class Report:
    """Means over the held-out photographs.

    Args:
        results: as the evaluation saves them.
        order: of the rows.
    """

    def __init__(self, results: dict[str, Any], *, order: list[str]) -> None:
        self.results, self.order = results, order

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a variant; None where a variant has no such figure."""
        found = self.results["variants"]
        return [{"variant": name, **{key: found[name].get(key) for key in _COLUMNS}} for name in self.order]

    def text(self) -> str:
        """Return the table in Markdown, with what it was measured on."""
        lines = [
            [row["variant"], *(_cell(row[key], digits) for key, (_, digits) in _COLUMNS.items())] for row in self.rows()
        ]
        machine = self.results["machine"]
        cpu = f"{machine['processor']}, {machine['threads']} threads"
        where = cpu if self.results["device"] == "cpu" else machine["gpu"]
        table = markdown(["variant", *(title for title, _ in _COLUMNS.values())], lines)
        shown = [
            row["variant"] for row in self.rows() if row["ciede2000"] is not None and row["variant"] != "mean chroma"
        ]
        return (
            f"{table}\n{self.results['photographs']} held-out photographs of {self.results['classes']} scenes, each at "
            f"its own size; {where}; no loss network. Top-1 and top-5 of the mean chroma: the most frequent scenes.\n"
            f"Columns of ablations.png: {', '.join(shown)}.\n"
        )

    def write(self, folder: Path) -> None:
        """Write `ablations.json`, `.csv` and `.md`."""
        write_json(folder / "ablations.json", self.results)
        write_csv(folder / "ablations.csv", self.rows())
        write_text(folder / "ablations.md", self.text())


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"
