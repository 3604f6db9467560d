"""Johnson's tables of super-resolution: PSNR, SSIM and sharpness of methods over test sets, and a sheet of crops."""

import math
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torchvision.transforms.v2.functional import center_crop

from impasto.engines import eager
from impasto.evaluation.comparison import Cells, Comparison, Figures, Keys, Listed, Row, Table, fingerprint, means
from impasto.evaluation.lpips import FoundLPIPS
from impasto.evaluation.super_resolution_protocol import (
    Protocol,
    Upscaling,
    compare,
    enlarge,
    low_and_truth,
    luma,
    read_test_image,
)
from impasto.images import sheet, write_image
from impasto.listing import find_images
from impasto.networks import Trained
from impasto.resampling import upscale
from impasto.suggest import did_you_mean
from impasto.tables import fixed
from impasto.trained import load_named

_SHOWN, _CELL = 6, 128  # photographs on a sheet, and pixels of their middles
_RESERVED = ("bicubic", "truth")  # columns that no network makes


class Reported(Keys):
    """What the paper says of a set: whether it was checked against the PDF, and by method PSNR in dB and SSIM."""

    checked: bool
    rows: dict[str, tuple[float, float]]


class SuperResolution(Comparison):
    """Bicubic interpolation and networks over every photograph of every set at every factor."""

    name: ClassVar[str] = "super_resolution"
    sets: Annotated[list[str] | None, Field(min_length=1), Listed]
    factors: Annotated[list[Literal[4, 8]], Field(min_length=1), Listed]
    folders: dict[str, str]
    networks: dict[Annotated[str, Field(pattern="^x[48]$")], dict[str, str | None] | None]
    protocol: Protocol
    lpips: FoundLPIPS
    paper: dict[str, dict[str, Reported]]

    @cached_property
    def _images(self) -> dict[str, dict[str, Path]]:
        """By set and name, the files that are measured."""
        images = {}
        for name in self.sets or self.folders:
            if name not in self.folders:
                raise ValueError(f"unknown set '{name}'{did_you_mean(name, self.folders)}")
            folder = Path(self.folders[name]).expanduser()
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"no folder {folder} with the images of {name}; expected it below data_root (IMPASTO_DATA), or "
                    f"evaluation.folders.{name}=<folder>"
                )
            images[name] = {str(found.name): found.path for found in find_images(folder)}
        return images

    @cached_property
    def _trained(self) -> dict[int, dict[str, Trained]]:
        """By factor and name, the networks."""
        loaded: dict[int, dict[str, Trained]] = {factor: {} for factor in self.factors}
        for factor, networks in loaded.items():
            for name, text in self._named(factor).items():
                if name in _RESERVED:
                    raise ValueError(f"'{name}' cannot name a network; {', '.join(_RESERVED)} are columns already")
                networks[name] = load_named(text, system="upscaler")
                if (found := networks[name].card["network"].get("factor")) != factor:
                    what = f"evaluation.networks.x{factor}.{name}={text}"
                    raise ValueError(f"{what} enlarges by {found}; expected {factor}")
        return loaded

    def _named(self, factor: int) -> dict[str, str]:
        return {name: text for name, text in (self.networks.get(f"x{factor}") or {}).items() if text is not None}

    def about(self) -> dict[str, Any]:
        """Say which networks and images; refuse what cannot be measured, since a mean over others is another's."""
        networks = {
            f"x{factor} {name}": fingerprint(trained.network)
            for factor, found in self._trained.items()
            for name, trained in found.items()
        }
        for path in (path for paths in self._images.values() for path in paths.values()):
            photo = read_test_image(path).photo
            for factor in self.factors:
                self.protocol.refuse_small(photo, factor, path)
        return {"networks": networks, "lpips": self.lpips is not None}

    def _methods(self, factor: int) -> dict[str, Upscaling]:
        methods: dict[str, Upscaling] = {"bicubic": partial(enlarge, partial(upscale, factor=factor), matched=False)}
        for name, trained in self._trained[factor].items():
            network: Any = eager(trained, precision=torch.float32, device=self.device)
            methods[name] = partial(enlarge, network, matched=self.protocol.match_histograms)
        return methods

    def cells(self) -> Cells:
        """Measure every photograph of every set at every factor."""
        return {
            _key(name, factor, image): partial(self._measure, factor, methods, path)
            for factor, methods in ((factor, self._methods(factor)) for factor in self.factors)
            for name, paths in self._images.items()
            for image, path in paths.items()
        }

    def _measure(self, factor: int, methods: Mapping[str, Upscaling], path: Path) -> Figures:
        photo, grey = read_test_image(path)
        low, truth = low_and_truth(photo.to(self.device), factor, self.protocol)
        wanted, border = luma(truth, grey=grey), self.protocol.margin(factor)
        figures = {}
        for name, method in methods.items():
            output = method(low)
            found = compare(luma(output, grey=grey), wanted, border=border, ssim_sigma=self.protocol.ssim_sigma)
            figures[name] = {key: value if math.isfinite(value) else None for key, value in found._asdict().items()}
            if self.lpips is not None:  # of whole pictures, as their colours are
                figures[name]["lpips"] = float(self.lpips(output.cpu(), truth.cpu()))
        return figures

    @property
    def _measured(self) -> list[tuple[str, str, int]]:
        """Key, title and digits of what is measured."""
        plain = [("psnr", "PSNR, dB", 2), ("ssim", "SSIM", 4), ("sharpness", "sharpness", 2)]
        return plain if self.lpips is None else [*plain, ("lpips", "LPIPS", 3)]

    def _rows(self, figures: Mapping[str, Figures]) -> list[Row]:
        rows = []
        for factor in self.factors:
            for name, paths in self._images.items():
                images = [figures[_key(name, factor, image)] for image in paths]
                reported = self.paper.get(f"x{factor}", {}).get(name, Reported(checked=True, rows={}))
                for method in dict.fromkeys([*images[0], *reported.rows]):  # those of the paper alone come last
                    found = [image[method] for image in images if method in image]
                    psnr, ssim = reported.rows.get(method, (None, None))
                    row: Row = {"set": name, "factor": factor, "method": method.replace("_", " ")}
                    row |= means(found, [key for key, _, _ in self._measured])
                    row |= {"paper_psnr": psnr, "paper_ssim": ssim}
                    row |= {"paper_checked": None if psnr is None else reported.checked, "images": len(found) or None}
                    rows.append(row)
        return rows

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a set, factor and method: means over the images beside the paper's."""
        titles = [title for _, title, _ in self._measured]
        columns = ["set", "factor", "method", *titles, "paper PSNR, dB", "paper SSIM"]
        rows = self._rows(figures)
        lines = [
            [
                *(row["set"], f"x{row['factor']}", row["method"]),
                *(fixed(row[key], places) for key, _, places in self._measured),
                *(fixed(row[key], places) + star for key, places in (("paper_psnr", 2), ("paper_ssim", 4))),
            ]
            for row, star in ((row, "*" if row["paper_checked"] is False else "") for row in rows)
        ]
        protocol = ", ".join(f"{key} {value}" for key, value in self.protocol)
        notes = [
            f"- Protocol of docs/results/super_resolution.md with {protocol}.",
            "- Sharpness: energy of the gradient of Y, as a share of the truth's.",
        ]
        if self.lpips is not None:
            notes.append("- LPIPS: version 0.1, AlexNet, of whole pictures in RGB; less is nearer.")
        for factor, found in self._trained.items():
            for name, trained in found.items():
                experiment, steps = (trained.card.get(key) or "unknown" for key in ("experiment", "steps"))
                what = f"{self._named(factor)[name]} (experiment {experiment}, {steps} steps)"
                notes.append(f"- x{factor} {name.replace('_', ' ')}: {what}.")
        if any(row["paper_checked"] is False for row in rows):
            notes.append("- \\* from memory, not checked against the PDF of Johnson 2016.")
        shown = ", ".join(["bicubic", *self._trained[self.factors[0]], "truth"]).replace("_", " ")
        notes += ["- Float32; no loss network is used in measuring.", f"- Columns of the sheets: {shown}."]
        return Table(rows, self.words(columns, lines, notes))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw a sheet a factor: the middles of the first photographs, bicubic, each network, truth."""
        paths = [path for paths in self._images.values() for path in paths.values()][:_SHOWN]
        sheets = []
        for factor in self.factors:
            rows = []
            for photo in (read_test_image(path).photo for path in paths):
                low, truth = low_and_truth(photo, factor, self.protocol)
                found = [method(low.to(self.device)) for method in self._methods(factor).values()]
                side = min(_CELL, *truth.shape[-2:])
                rows.append([center_crop(image[0].cpu(), [side]) for image in (*found, truth)])
            sheets.append(path.with_stem(f"{path.stem}_x{factor}"))
            write_image(sheets[-1], sheet(rows, cell=_CELL))
        return sheets


def _key(name: str, factor: int, image: str) -> str:
    return f"{name} x{factor}, {image}"
