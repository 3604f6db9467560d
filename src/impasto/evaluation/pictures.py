"""Pictures of several methods over the same photographs: what comparisons of pictures share."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, NamedTuple

from torch import Tensor

from impasto.data import sample_paths
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Listed, Row, Table
from impasto.images import read_image, sheet, write_image
from impasto.listing import Found, find_images
from impasto.tables import digits

_SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
_SHOWN = 4  # photographs on the sheet

Source = Callable[[Found, Tensor], Tensor]  # from a photograph's file and its pixels (3, H, W) to a picture


class Picture(NamedTuple):
    """What a method made of a photograph; RGB in [0, 1], (3, H, W) both."""

    image: Tensor
    photograph: Tensor
    network: Callable[[Tensor], Tensor] | None  # (1, 3, H, W) -> (1, 3, H, W); None where the pictures are files


class PictureComparison(Comparison):
    """A comparison whose cells are a method's picture of a photograph; a subclass measures it."""

    methods: dict[str, str] | None
    photographs: Annotated[list[str] | None, Listed]
    size: Count
    source_of: Callable[[str, str, str], Source]  # finds a method by its text, name and device

    @abstractmethod
    def default_methods(self) -> dict[str, str]:
        """Return what is compared where no methods are given."""

    @abstractmethod
    def measure(self, picture: Picture) -> Figures:
        """Measure one picture; "%" in a figure's name multiplies by a hundred where people read it."""

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {"photograph": "photograph"} | (self.methods or self.default_methods())

    @cached_property
    def _sources(self) -> dict[str, Source]:
        return {name: self.source_of(text, name, self.device) for name, text in self._texts.items()}

    @cached_property
    def _found(self) -> list[Found]:
        return find_images(self.photographs or sample_paths(_SAMPLES))

    def about(self) -> dict[str, Any]:
        """Say which methods and photographs; refuse those that are not there."""
        return {"methods": {name: self._texts[name] for name in self._sources}, "photographs": len(self._found)}

    def cells(self) -> Cells:
        """Measure each method on each photograph."""
        return {
            _key(method, item): partial(self._measure, method, item) for item in self._found for method in self._sources
        }

    def _measure(self, method: str, item: Found) -> Figures:
        photo, source = read_image(item.path, at_most=self.size), self._sources[method]
        folder = Path(self._texts[method]).expanduser()
        results = folder.is_dir() and not (folder / "network.safetensors").is_file()
        still = results or self._texts[method] == "photograph"
        network = None if still else lambda images: source(item, images[0])[None]
        figures = self.measure(Picture(source(item, photo), photo, network))
        return {"method": method, "photograph": str(item.name), **figures}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a method: means over the photographs."""
        keys = [key for key in next(iter(figures.values())) if key not in ("method", "photograph")]
        rows: list[Row] = []
        for method in self._sources:
            own = [figures[_key(method, item)] for item in self._found]
            known = {key: [found[key] for found in own if found[key] is not None] for key in keys}
            rows.append({"method": method} | {key: fmean(values) if values else None for key, values in known.items()})
        lines = [[row["method"], *(_cell(row[key], percent="%" in key) for key in keys)] for row in rows]
        return Table(rows, self.words(["method", *keys], lines, [f"Means over {len(self._found)} photographs."]))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw the methods' pictures of the first photographs."""
        items = [(item, read_image(item.path, at_most=self.size)) for item in self._found[:_SHOWN]]
        write_image(path, sheet([[source(*item) for source in self._sources.values()] for item in items]))
        return [path]


def _key(method: str, item: Found) -> str:
    return f"{method}, {item.name}"


def _cell(value: float | None, *, percent: bool) -> str:
    return digits(100 * value if percent and value is not None else value)
