"""What the evaluation of super-resolution says: a table beside the paper's."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.files import write_text
from impasto.tables import digits, markdown, write_csv, write_json

FIGURES = ("psnr", "ssim", "sharpness")
Row = dict[str, Any]


class Report:
    """Means over the images of each set and factor.

    Args:
        results: as the evaluation saves them.
        sets: in the order of the table.
        factors: likewise.
    """

    def __init__(self, results: dict[str, Any], *, sets: Sequence[str], factors: Sequence[int]) -> None:
        self.results, self.sets, self.factors = results, sets, factors

    def rows(self) -> list[Row]:
        """Return a row a set, factor and method; those that the paper alone has come last, None for our figures."""
        rows = []
        for factor in self.factors:
            for name in self.sets:
                images = list(self.results["measured"][name][f"x{factor}"].values())
                told = self.results["paper"].get(f"x{factor}", {}).get(name, {"checked": True, "rows": {}})
                for method in dict.fromkeys([*images[0], *told["rows"]]):
                    found = [image[method] for image in images if method in image]
                    psnr, ssim = told["rows"].get(method, (None, None))
                    rows.append(
                        {
                            "set": name,
                            "factor": factor,
                            "method": shown(method),
                            **{key: mean([figures[key] for figures in found]) for key in (*FIGURES, "seconds")},
                            "paper_psnr": psnr,
                            "paper_ssim": ssim,
                            "paper_checked": None if psnr is None else told["checked"],
                            "images": len(found) or None,
                        }
                    )
        return rows

    def text(self) -> str:
        """Return the table in Markdown, with what it was measured by."""
        columns = ["set", "factor", "method", "PSNR, dB", "SSIM", "sharpness", "paper PSNR, dB", "paper SSIM"]
        rows = self.rows()
        lines = []
        for row in rows:
            star = "*" if row["paper_checked"] is False else ""
            paper = [_cell(row["paper_psnr"], 2, star), _cell(row["paper_ssim"], 4, star)]
            ours = [_cell(row["psnr"], 2), _cell(row["ssim"], 4), _cell(row["sharpness"], 2)]
            lines.append([row["set"], f"x{row['factor']}", row["method"], *ours, *paper])
        told = [f"Protocol: {self.results['protocol_in_words']}."]
        told.append("Sharpness: energy of the gradient of Y, as a share of the truth's.")
        told.extend(f"{line}." for line in self._networks())
        if any(row["paper_checked"] is False for row in rows):
            told.append("\\* from memory, not checked against the PDF of Johnson 2016.")
        machine = self.results["machine"]
        cpu = f"{machine['processor']}, {machine['threads']} threads"
        where = cpu if self.results["device"] == "cpu" else machine["gpu"]
        told.append(f"{where}; float32; no loss network is used in measuring.")
        return f"{markdown(columns, lines)}\n" + "\n".join(f"- {line}" for line in told) + "\n"

    def _networks(self) -> list[str]:
        lines = []
        for factor in self.factors:
            for method, network in self.results["networks"].get(f"x{factor}", {}).items():
                training = f"experiment {network['experiment'] or 'unknown'}, {network['steps'] or 'unknown'} steps"
                lines.append(f"x{factor} {shown(method)}: {network['name']} ({training})")
        return lines

    def block(self, name: str, factor: int) -> str:
        """Say one set and factor in a line."""
        images = list(self.results["measured"][name][f"x{factor}"].values())
        parts = []
        for method in images[0]:
            psnr, ssim, seconds = (mean([i[method][key] for i in images]) for key in ("psnr", "ssim", "seconds"))
            parts.append(f"{shown(method)} {_cell(psnr, 2)} dB / {_cell(ssim, 4)} ({digits(seconds)} s)")
        return f"{name} x{factor}, {len(images)} images: {', '.join(parts)}"

    def write(self, folder: Path) -> None:
        """Write `super_resolution.json`, `.csv` and `.md`."""
        write_json(folder / "super_resolution.json", self.results | {"rows": self.rows()})
        write_csv(folder / "super_resolution.csv", self.rows())
        write_text(folder / "super_resolution.md", self.text())


def shown(method: str) -> str:
    """Name a method as a person would: `pixel_loss` is "pixel loss"."""
    return method.replace("_", " ")


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None where there are no values, or one is unknown: it would be the mean of others."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def plain(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Return what JSON can hold; None for what is infinite or no number."""
    return {key: value if math.isfinite(value) else None for key, value in figures.items()}


def _cell(value: float | None, places: int, mark: str = "") -> str:
    return "-" if value is None else f"{value:.{places}f}{mark}"
