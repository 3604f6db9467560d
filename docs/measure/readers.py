"""Time what one worker reads: photographs in 256 levels, as trainings do it, beside float32 as impasto did it before.

    python docs/measure/readers.py <data> <new folder>

Writes photographs of <data>/coco at the size of COCO's (640 x 480) and of <data>/scenes at that of Places (256 x 256)
into the folder, reads each with the transforms of data=coco and data=places365 through a loader with one worker, both
ways in turn, and writes readers.json and readers.md. All is in the page cache after the first time round.
"""

import itertools
import sys
from pathlib import Path
from typing import Any

import psutil
from hydra.utils import instantiate
from measuring import composed
from PIL import Image
from torch import Tensor

from impasto.data import Photographs
from impasto.data.batches import Batch, Draw, PhotographDataset, Transform
from impasto.files import write_text
from impasto.hardware import describe_machine, keep_freed_memory
from impasto.images import read_image
from impasto.listing import evenly_spread, find_images
from impasto.tables import digits, markdown, write_json

COUNT, BATCH, BATCHES, WARMUP, REPEATS = 64, 16, 24, 4, 9
KINDS = {  # folder, sides, quality: about the bytes of the data set's own files
    "coco": ("coco", (640, 480), 96),
    "places365": ("scenes", (256, 256), 85),
}


class Before(Photographs):
    """Photographs that are float32 from the file on."""

    def dataset(self, split: str, transform: Transform) -> PhotographDataset:
        """Return the photographs to train on."""
        return _Float(self.train_paths, self.train_labels, transform)


class _Float(PhotographDataset):
    def read(self, index: int) -> tuple[Tensor, int]:
        image = read_image(self.paths[index], at_least=self.transform.at_least)
        return image.permute(1, 2, 0), self.labels[index]

    def __getitem__(self, draw: Draw | int) -> Batch:
        photograph = super().__getitem__(draw)
        return photograph._replace(image=photograph.image.permute(2, 0, 1))  # as it was put into a batch


def write_photographs(source: Path, folder: Path, sides: tuple[int, int], quality: int) -> int:
    """Write photographs of one size, or that size on end; return the bytes of one."""
    folder.mkdir(parents=True)
    for number, found in enumerate(evenly_spread(find_images([str(source)]), COUNT)):
        with Image.open(found.path) as image:
            upright = image.height > image.width
            sized = image.convert("RGB").resize(sides[::-1] if upright else sides, Image.Resampling.BICUBIC)
        sized.save(folder / f"{number:05}.jpg", quality=quality)
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return sum(sizes) // len(sizes)


def seconds_of(data: Photographs) -> float:
    """Return the seconds that a worker computes for a photograph, in a loader begun anew."""
    others = psutil.Process().children()
    batches = iter(data.train_dataloader())
    workers = [process for process in psutil.Process().children() if process not in others]
    seconds = []
    for count in (WARMUP, BATCHES):
        for _ in itertools.islice(batches, count):
            pass
        times = [worker.cpu_times() for worker in workers]  # others may have the core meanwhile
        seconds.append(sum(of.user + of.system for of in times))
    return (seconds[1] - seconds[0]) / (BATCHES * BATCH)


def measure(kind: str, folder: Path) -> dict[str, Any]:
    """Return the seconds a photograph of both ways: the best turn, for others may use the machine."""
    cfg = composed("train", f"data={kind}", "data.root=.")
    transforms = {name: instantiate(cfg.data[name]) for name in ("train_transform", "val_transform")}
    loading: Any = {"batch_size": BATCH, "num_workers": 1, "seed": 0, "val_limit": None, "skip": None, **transforms}
    turns: dict[str, list[float]] = {"before": [], "now": []}
    for _ in range(REPEATS):
        for name, build in (("before", Before), ("now", Photographs)):
            data = build(train=[str(folder)], val=[str(folder)], **loading)
            data.setup("fit")
            turns[name].append(seconds_of(data))
    return {name: min(values) for name, values in turns.items()} | {"turns": turns}


def main() -> None:
    """Write photographs, time both ways, print a table."""
    keep_freed_memory()  # as trainings do
    data_root, output = (Path(word) for word in sys.argv[1:])
    rows = []
    for kind, (source, sides, quality) in KINDS.items():
        size = write_photographs(data_root / source, output / kind, sides, quality)
        rows.append({"kind": kind, "sides": sides, "bytes": size} | measure(kind, output / kind))
    machine = describe_machine()
    write_json(output / "readers.json", {"machine": machine, "rows": rows})
    columns = ["data", "a file", "before: ms", "photographs / s", "now: ms", "photographs / s", "times as many"]
    lines = [
        [
            f"{row['kind']}, {row['sides'][0]} x {row['sides'][1]}",
            f"{row['bytes'] / 1000:.0f} kB",
            *(text for name in ("before", "now") for text in (digits(1000 * row[name]), digits(1 / row[name]))),
            digits(row["before"] / row["now"]),
        ]
        for row in rows
    ]
    about = f"{machine['processor']}, seconds that one worker computes, the best of {REPEATS} turns.\n"
    text = f"{markdown(columns, lines)}\n{about}"
    write_text(output / "readers.md", text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
