"""Time photographs out of shards beside those out of files: the same photographs, transforms and workers.

    python docs/measure/loading_speed.py data_root=<data> [key=value of impasto pack ...] output=<new folder>

Packs 1,000 photographs of data=scenes into <output>/shards, reads batches of 32, and writes loading.json and
loading.md. All is in the page cache after the first time round.
"""

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose
from hydra.utils import instantiate

from impasto.cli import conf_dir
from impasto.data import Shards
from impasto.data.layouts import Labelled
from impasto.data.packing import Packing, pack
from impasto.evaluation.speed import time_calls
from impasto.files import write_text
from impasto.hardware import describe_machine
from impasto.launch.composition import initialize
from impasto.listing import evenly_spread
from impasto.tables import digits, markdown, write_json

PHOTOGRAPHS, SHARDS, BATCH = 1000, 8, 32
BATCHES, WARMUP, REPEATS = 10, 3, 7
WORKERS = (0, 2)


def main() -> None:
    """Pack, time both readers, print a table."""
    with initialize(conf_dir()):
        cfg = compose("pack", ["data=scenes", f"data.batch_size={BATCH}", *sys.argv[1:]])
    output = Path(cfg.output)
    files = instantiate(cfg.data)
    files.prepare_data()
    files.setup("fit")
    files.train_paths, files.train_labels = (
        evenly_spread(values, PHOTOGRAPHS) for values in (files.train_paths, files.train_labels)
    )
    photographs = list(map(Labelled, files.train_paths, files.train_labels))
    size = sum(item.path.stat().st_size for item in photographs)
    packing = Packing(files.classes, None, max(1, size // SHARDS), 1, {}, lambda done: None)
    order = np.random.default_rng(cfg.seed).permutation(len(photographs))
    pack([photographs[n] for n in order], output / "shards/train", packing)
    pack(photographs[:1], output / "shards/val", packing)
    rows: list[dict[str, Any]] = []
    for workers in WORKERS:
        files.num_workers = workers
        loading = {
            key: getattr(files, key) for key in ("train_transform", "val_transform", "seed", "val_limit", "skip")
        }
        shards = Shards(urls=str(output / "shards"), batch_size=BATCH, num_workers=workers, **loading)
        for reader, data in (("files", files), ("shards", shards)):
            rows.append({"reader": reader, "workers": workers} | measure(data.train_dataloader()))
        rows[-1]["ratio"] = rows[-1]["images_per_second"] / rows[-2]["images_per_second"]
    machine = describe_machine()
    write_json(output / "loading.json", {"machine": machine, "rows": rows})
    lines = [
        [
            row["reader"],
            str(row["workers"]),
            f"{digits(row['images_per_second'])} ({digits(row['low'])}-{digits(row['high'])})",
            digits(row.get("ratio")),
        ]
        for row in rows
    ]
    table = markdown(["reader", "workers", "photographs per second", "shards / files"], lines)
    text = f"{table}\n{machine['processor']}, {machine['threads']} threads; medians, quartiles in brackets.\n"
    write_text(output / "loading.md", text)
    sys.stdout.write(text)


def measure(batches: Iterable[object]) -> dict[str, float]:
    """Return photographs per second while nothing else is done with them: the median and the quartiles."""
    coming = iter(batches)

    def take() -> None:
        for _ in itertools.islice(coming, BATCHES):
            pass

    found = time_calls(take, warmup=WARMUP, repeats=REPEATS, device="cpu")
    count = BATCHES * BATCH
    return {"images_per_second": count / found["seconds"], "low": count / found["high"], "high": count / found["low"]}


if __name__ == "__main__":
    main()
