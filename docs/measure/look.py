"""Large pictures against their previews: python docs/measure/look.py outputs/look.

A photograph is painted small, large, and large with look_size= of the small one; the large ones are made as small as
the first, and their Gram matrices compared with its. The loss network is the pocket's, which comes with the package.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from hydra.utils import instantiate
from measuring import composed, measure, parser
from torch import Tensor

from impasto.data import sample_paths
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Table
from impasto.features import LossNetwork
from impasto.images import read_image, resize_longer_side, resized
from impasto.losses.distances import gram
from impasto.methods import Stylizing
from impasto.networks import LAYERS
from impasto.tables import digits
from impasto.trained import load_shipped

_PHOTOGRAPHS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")


class Look(Comparison):
    """For each style: how far the large picture's Gram matrices are from the preview's, with look_size= and without."""

    name: ClassVar[str] = "look"
    features: Callable[[Tensor], LossNetwork]
    styles: list[str]
    small: Count
    large: Count

    def cells(self) -> Cells:
        """Measure each style."""
        return {style: partial(self._measure, style) for style in self.styles}

    @torch.inference_mode()
    def _measure(self, style: str) -> Figures:
        trained = load_shipped(style)
        gaps: dict[str, list[float]] = {"naive": [], "look_size": []}
        for path in sample_paths(list(_PHOTOGRAPHS)):
            photo = read_image(Path(path))
            side = max(photo.shape[-2:])
            size = tuple(round(self.large * length / side) for length in photo.shape[-2:])
            photo = resized(photo[None], (size[0], size[1])).clamp(0, 1)
            preview = Stylizing(trained)(resize_longer_side(photo[0], self.small)[None])[0].image[None]
            features = self.features(preview)
            wanted = {layer: gram(found) for layer, found in features(preview, LAYERS).items()}
            for name, look_size in (("naive", None), ("look_size", self.small)):
                painted = Stylizing(trained, look_size=look_size)(photo)[0].image
                reduced = resize_longer_side(painted, self.small)[None]
                found = {layer: gram(value) for layer, value in features(reduced, LAYERS).items()}
                shares = [float((found[x] - wanted[x]).norm() / wanted[x].norm()) for x in LAYERS]
                gaps[name].append(sum(shares) / len(shares))
        return {"style": style} | {name: sum(values) / len(values) for name, values in gaps.items()}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a style."""
        rows = [{**row, "ratio": row["look_size"] / row["naive"]} for row in figures.values()]
        columns = ["style", "as the size comes", f"look_size={self.small}", "ratio"]
        lines = [[row["style"], *(digits(row[key], 2) for key in ("naive", "look_size", "ratio"))] for row in rows]
        notes = [
            f"Relative distance of Gram matrices, mean of {', '.join(LAYERS)} and of {len(_PHOTOGRAPHS)} photographs "
            f"of scikit-image at {self.large} px, against the same at {self.small} px; loss network: pocket."
        ]
        return Table(rows, self.words(columns, lines, notes))


def main() -> None:
    """Measure three styles."""
    arguments = parser(__doc__ or "").parse_args()
    features = instantiate(composed("train", "features=pocket", *arguments.words).features)
    styles = ["starry_night", "great_wave", "the_scream"]
    measure(Look(features=features, styles=styles, small=512, large=1536, device=arguments.device), arguments)


if __name__ == "__main__":
    main()
