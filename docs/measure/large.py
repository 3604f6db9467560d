"""Large pictures, whole and in parts: memory and processor time of `impasto apply` and `impasto optimize`.

    python docs/measure/large.py outputs/large data_root=<folder with weights/>

Each cell is a process of its own, of which the peak of memory and the processor's seconds are noted. Words of
`impasto optimize` behind the folder change its loss. The photograph is scikit-image's, enlarged.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from measuring import composed, measure, parser
from PIL import Image

from impasto.data import sample_path
from impasto.evaluation.comparison import Cells, Comparison, Figures, Table
from impasto.images import read_image, resize
from impasto.tables import digits, markdown

_PAINTED = (  # sides of a square in pixels, by strips or whole, precision
    *((2048, "whole", "fp32"), (2048, "strips", "fp32"), (8192, "strips", "bf16")),
    *((4096, "whole", "fp32"), (4096, "strips", "fp32"), (8192, "strips", "fp32")),
)
_OPTIMIZED = ((768, "null"), (768, "256"), (1536, "null"), (1536, "256"), (4096, "512"))  # side, tile=
_PAINT = """
import resource, sys, time
from impasto.cli import main
from impasto.methods import stylizing
stylizing._LARGE = int(sys.argv.pop(1))
begin = time.process_time()
main()
print("\\n", time.process_time() - begin, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_PHOTO = "astronaut.png"


class Large(Comparison):
    """Memory and time of pictures, each whole and in parts, and how far the results are from each other."""

    name: ClassVar[str] = "large"
    folder: Path
    further: Any
    painted: Sequence[tuple[int, str, str]] = _PAINTED
    optimized: Sequence[tuple[int, str]] = _OPTIMIZED

    def cells(self) -> Cells:
        """One a process."""
        painting = {f"apply {case}": partial(self._paint, *case) for case in self.painted}
        return painting | {f"optimize {case}": partial(self._optimize, *case) for case in self.optimized}

    def _paint(self, side: int, form: str, precision: str) -> Figures:
        photo = self.folder / f"{side}.tif"
        if not photo.exists():
            with Image.open(sample_path(_PHOTO)) as small:
                small.resize((side, side), Image.Resampling.BICUBIC).save(photo, compression="tiff_lzw")
        results = [self.folder / f"painted_{each}_{precision}" / photo.name for each in ("whole", "strips")]
        output = f"output={results[form == 'strips'].parent}"
        words = f"apply style=starry_night engine=eager precision={precision} overwrite=true images={photo} {output}"
        found = _child("-c", _PAINT, 1 if form == "strips" else sys.maxsize, *words.split())
        gap = None
        if all(path.exists() for path in results):
            ours, theirs = (np.asarray(Image.open(path)) for path in results)
            gap = int(np.abs(np.subtract(ours, theirs, dtype=np.int16)).max())
        return {"side": side, "form": form, "precision": precision, "gap": gap, **found}

    def _optimize(self, side: int, tile: str) -> Figures:
        found = _child(__file__, "--child", self.folder, side, tile, *self.further)
        whole, tiled = (self.folder / f"gradient_{side}_{each}.pt" for each in ("null", tile))
        gap = None
        if tile != "null" and whole.exists():
            (loss, gradient), (other, tiles) = (torch.load(path) for path in (whole, tiled))
            gap = [abs(other / loss - 1), float((tiles - gradient).norm() / gradient.norm())]
        return {"side": side, "tile": tile, "gap": gap, **found}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """One table a command."""
        rows = list(figures.values())
        columns = ["pixels", "how", "precision", "peak memory, GiB", "processor seconds a megapixel", "largest gap"]
        painting = [
            [f"{row['side']} x {row['side']}", row["form"], row["precision"], *_cost(row), _or_none(row["gap"])]
            for row in rows
            if "form" in row
        ]
        titles = ["pixels", "`tile=`", *columns[3:5], "gap of the loss, of the gradient (relative)"]
        optimizing = [
            [
                f"{row['side']} x {row['side']}",
                row["tile"],
                *_cost(row),
                ", ".join(map(digits, row["gap"] or [])) or "-",
            ]
            for row in rows
            if "tile" in row
        ]
        text = f"{markdown(columns, painting)}\n\nGaps in grey levels of 255.\n\n{markdown(titles, optimizing)}\n"
        return Table(rows, text + f"\n{torch.get_num_threads()} threads; torch {torch.__version__}.\n")


def _cost(row: Figures) -> list[str]:
    return [f"{row['peak'] / 2**30:.2f}", digits(row["seconds"] / (row["side"] ** 2 / 1e6))]


def _or_none(value: int | None) -> str:
    return "-" if value is None else str(value)


def _child(*words: Any) -> Figures:  # noqa: ANN401
    """Run Python; its last line has the processor's seconds and the bytes of its peak."""
    done = subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak = map(float, done.stdout.splitlines()[-1].split())
    return {"seconds": seconds, "peak": peak}


def evaluate(folder: Path, side: str, tile: str, *words: str) -> float:
    """Evaluate the loss of `impasto optimize` and its gradient once; return the processor's seconds."""
    from impasto.build.optimization import Painter
    from impasto.gatys import evaluate as once

    chosen = ("style=starry_night", "precision=fp32", "gatys_optimizer=adam", f"size={side}", f"tile={tile}")
    painter = Painter(composed("optimize", *chosen, *words))
    photo = resize(read_image(Path(sample_path(_PHOTO))), (int(side), int(side)))[None]
    level = painter.optimization(photo).levels[0]
    loss = level.loss()
    targets = loss.targets(level.photo)
    begin = time.process_time()
    terms, gradient = once(level.photo.flip(3), loss, targets, precision=torch.float32)
    seconds = time.process_time() - begin
    torch.save((sum(terms.values()), gradient), folder / f"gradient_{side}_{tile}.pt")
    return seconds


def main(words: Sequence[str] | None = None, **sizes: Any) -> None:  # noqa: ANN401
    """Measure, or do what a cell asks of its process."""
    known: argparse.ArgumentParser = parser("Large pictures, whole and in parts.")
    known.add_argument("--child", action="store_true")
    given = known.parse_args(words)
    if given.child:
        seconds = evaluate(given.folder, *given.words)
        sys.stdout.write(f"\n{seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}\n")
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    measure(Large(device=given.device, folder=given.folder, further=given.words, **sizes), given)


if __name__ == "__main__":
    main()
