"""What methods leave on pictures: a grid, a border, spots, unsteadiness; LPIPS; and how far Gram matrices are."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from scipy import ndimage
from torch import Tensor

from impasto.data import sample_paths
from impasto.evaluation.comparison import Cells, Comparison, Count, Counts, Figures, Listed, Row, Table, means
from impasto.evaluation.lpips import FoundLPIPS
from impasto.features import LossNetwork
from impasto.images import read_image, sheet, write_image
from impasto.listing import Found, find_images
from impasto.losses import gram, repeated_share
from impasto.networks import LAYERS
from impasto.run_folders import RunFolder
from impasto.styles import Style
from impasto.tables import digits
from impasto.trained import shipped

_SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
_STYLE_SIZES = (256, 320, 384, 448, 512, 640)
_SHOWN = 4  # photographs on the sheet
_BORDER = 8  # pixels
_WINDOW = 9  # pixels a side of the neighbourhood that a spot stands out of
_SPOT = 0.25  # of [0, 1]: what is further from the median of its neighbourhood is a spot, or an edge

Source = Callable[[Found, Tensor], Tensor]  # from a photograph's file and its pixels (3, H, W) to a picture


class Artefacts(Comparison):
    """Grids, border, spots, the response to a moved photograph, LPIPS to it; of a style, relative Gram errors."""

    name: ClassVar[str] = "artefacts"
    methods: dict[str, str] | None
    photographs: Annotated[list[str] | None, Listed]
    size: Count
    periods: Counts
    shifts: Counts
    lpips: FoundLPIPS
    painting: Style | None
    loss_network: Callable[[Tensor], LossNetwork] | None
    source_of: Callable[[str, str, str], Source]  # finds a method by its text, name and device

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {"photograph": "photograph"} | (self.methods or {name: name for name in shipped("stylizer")})

    @cached_property
    def _sources(self) -> dict[str, Source]:
        return {name: self.source_of(text, name, self.device) for name, text in self._texts.items()}

    @cached_property
    def _found(self) -> list[Found]:
        return find_images(self.photographs or sample_paths(_SAMPLES))

    @cached_property
    def _features(self) -> LossNetwork | None:
        if self.painting is None or self.loss_network is None:
            return None
        return self.loss_network(self.painting.image(max(_STYLE_SIZES)))

    def about(self) -> dict[str, Any]:
        """Say which methods and photographs, and what is measured; refuse what is not there."""
        return {
            "methods": {name: self._texts[name] for name in self._sources},
            "photographs": len(self._found),
            "lpips": self.lpips is not None,
            "loss_network": None if self._features is None else self._features.description,
            "style": None if self.painting is None else self.painting.describe(),
        }

    def cells(self) -> Cells:
        """Measure each method on each photograph."""
        return {
            _key(method, item): partial(self._measure, method, item) for item in self._found for method in self._sources
        }

    def _measure(self, method: str, item: Found) -> Figures:
        photo, source = read_image(item.path, at_most=self.size), self._sources[method]
        image, folder = source(item, photo), Path(self._texts[method]).expanduser()
        results = folder.is_dir() and not RunFolder(folder).network_file.is_file()
        still = results or self._texts[method] == "photograph"  # files, which another photograph does not change
        figures: Figures = {"method": method, "photograph": str(item.name)}
        for period in self.periods:
            figures[f"repeated {period} px, %"] = float(repeated_share(image[None].double(), period))
        figures |= {"border": border_ratio(image, photo), "spots, %": spot_share(image, photo)}
        for shift in self.shifts:
            response = None if still else shift_response(partial(source, item), photo, shift)
            figures[f"shift {shift} px, levels"] = response
        if self.lpips is not None:
            figures["LPIPS"] = float(self.lpips(image[None], photo[None]))
        for layer, own in self._grams(image[None]).items():  # |G - A| / |A|, of the style's size that is nearest
            figures[layer] = min(float((own - t[layer]).norm() / t[layer].norm()) for t in self._targets)
        return figures

    @torch.inference_mode()
    def _grams(self, image: Tensor) -> dict[str, Tensor]:
        if self._features is None:
            return {}
        return {layer: gram(found)[0] for layer, found in self._features(image, LAYERS).items()}

    @cached_property
    def _targets(self) -> list[dict[str, Tensor]]:
        return [] if self.painting is None else [self._grams(self.painting.image(size)) for size in _STYLE_SIZES]

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a method: means over the photographs; what has "%" in its name is multiplied by a hundred."""
        keys = [key for key in next(iter(figures.values())) if key not in ("method", "photograph")]
        found = {method: [figures[_key(method, item)] for item in self._found] for method in self._sources}
        rows: list[Row] = [{"method": method} | means(own, keys) for method, own in found.items()]
        shares = [{key: row[key] and 100 * row[key] if "%" in key else row[key] for key in keys} for row in rows]
        lines = [[row["method"], *map(digits, said.values())] for row, said in zip(rows, shares, strict=True)]
        return Table(rows, self.words(["method", *keys], lines, [f"Means over {len(self._found)} photographs."]))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw the methods' pictures of the first photographs."""
        items = [(item, read_image(item.path, at_most=self.size)) for item in self._found[:_SHOWN]]
        write_image(path, sheet([[source(*item) for source in self._sources.values()] for item in items]))
        return [path]


def _key(method: str, item: Found) -> str:
    return f"{method}, {item.name}"


def border_ratio(image: Tensor, photograph: Tensor) -> float:
    """Differences between neighbours near the border over those inside, relative to the photograph's: 1 for no border.

    Both are (C, H, W), more than 32 px a side.
    """
    near, inside = torch.ones(image.shape[-2:], dtype=torch.bool), torch.zeros(image.shape[-2:], dtype=torch.bool)
    near[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    inside[2 * _BORDER : -2 * _BORDER, 2 * _BORDER : -2 * _BORDER] = True
    ratios = []
    for picture in (image, photograph):
        across, down = (picture.diff(dim=dim).square().mean(dim=0) for dim in (2, 1))
        energy = across[:-1] + down[:, :-1]
        ratios.append(float((energy[near[:-1, :-1]].mean() + 1e-6) / (energy[inside[:-1, :-1]].mean() + 1e-6)))
    return ratios[0] / ratios[1]


def spot_share(image: Tensor, photograph: Tensor) -> float:
    """Share of the pixels (3, H, W) that stand out of their neighbourhood, less that of the photograph."""
    shares = []
    for picture in (image, photograph):
        median = ndimage.median_filter(picture.numpy(), size=(1, _WINDOW, _WINDOW))
        apart = (picture - torch.from_numpy(median)).abs().amax(dim=0)
        shares.append(float((apart > _SPOT).float().mean()))
    return shares[0] - shares[1]


@torch.inference_mode()
def shift_response(network: Callable[[Tensor], Tensor], photograph: Tensor, shift: int) -> float:
    """Mean change of a picture when the photograph is moved, in grey levels, where both show the same.

    The network paints RGB in [0, 1], (3, H, W) -> (3, H, W); the shift is in pixels, down and across.
    """
    h, w = photograph.shape[-2:]
    here = network(photograph[:, : h - shift, : w - shift])
    there = network(photograph[:, shift:, shift:])
    same = here[:, shift : h - shift, shift : w - shift]
    return float(255 * (same - there[:, : h - 2 * shift, : w - 2 * shift]).abs().mean())
