"""Photographs per second out of shards beside those out of files: the same photographs, transforms and workers."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.commands.wandb_logger import wandb_logger
from impasto.data import Photographs, Shards
from impasto.data.pack_folder import PackFolder
from impasto.data.packing import Packing, pack, shuffled
from impasto.data.photographs import Labelled
from impasto.evaluation.loading_speed import Row, measure_loading
from impasto.files import write_text
from impasto.hardware import describe_machine
from impasto.tables import digits, markdown, write_csv, write_json
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)


def evaluate_loading_speed(
    cfg: DictConfig,
    *,
    data: DictConfig,
    photographs: int,
    shards: int,
    shuffle_buffer: int,
    workers: Sequence[int],
    batches: int,
    warmup: int,
    repeats: int,
) -> None:
    """Pack photographs for the time of the measurement, and time both readers.

    Writes `loading.json`, `.csv` and `.md`, and prints the table.

    Args:
        cfg: the whole configuration.
        data: of the reader of files.
        photographs: how many of its training photographs are read, spread evenly.
        shards: into about as many they are packed.
        shuffle_buffer: photographs that each worker of the shard reader keeps.
        workers: numbers of processes; 0 reads in this one.
        batches: of one repeat.
        warmup: repeats before.
        repeats: that are timed.

    Raises:
        ValueError: a number out of range, or data that are no files.
    """
    _check(photographs=photographs, shards=shards, batches=batches)
    files = instantiate(data)
    if not isinstance(files, Photographs):
        raise ValueError("expected evaluation.data to be photographs in files, such as data@evaluation.data=scenes")
    files.prepare_data()
    files.setup("fit")
    step = max(1, len(files.train_paths) // photographs)
    taken = slice(None, step * photographs, step)
    files.train_paths, files.train_labels = files.train_paths[taken], files.train_labels[taken]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="impasto_") as folder:
        _pack(files, Path(folder), shards)
        for count in workers:
            files.num_workers = count
            read: dict[str, Photographs | Shards] = {
                "files": files,
                "shards": _shards(folder, files, count, shuffle_buffer),
            }
            for name, reader in read.items():
                log.info("%s, %d workers ...", name, count)
                found = measure_loading(
                    reader.train_dataloader(),
                    batch_size=files.batch_size,
                    count=batches,
                    warmup=warmup,
                    repeats=repeats,
                )
                rows.append({"reader": name, "workers": reader.num_workers, **found})
            rows[-1]["ratio"] = rows[-1]["images_per_second"] / rows[-2]["images_per_second"]
    _report(cfg, rows, len(files.train_paths), files.batch_size)


def _check(**counts: int) -> None:
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"expected evaluation.{name} to be a whole number of at least 1, got {value}")


def _pack(files: Photographs, folder: Path, shards: int) -> None:
    train, val = (
        [Labelled(path, label) for path, label in zip(paths, labels, strict=True)]
        for paths, labels in ((files.train_paths, files.train_labels), (files.val_paths[:1], files.val_labels[:1]))
    )
    size = sum(item.path.stat().st_size for item in train)
    packing = Packing([], None, max(1, size // shards), 0, lambda more, shard: None)
    pack({"train": shuffled(train, files.seed), "val": val}, PackFolder(folder, {}), packing)


def _shards(folder: str, files: Photographs, workers: int, shuffle_buffer: int) -> Shards:
    reader = Shards(
        urls=folder,
        train_transform=files.train_transform,
        val_transform=files.val_transform,
        batch_size=files.batch_size,
        num_workers=workers,
        seed=files.seed,
        val_limit=None,
        shuffle_buffer=shuffle_buffer,
    )
    reader.setup("fit")
    return reader


def _report(cfg: DictConfig, rows: list[Row], photographs: int, batch_size: int) -> None:
    folder, machine = Path(cfg.folder), describe_machine()
    told: Any = OmegaConf.to_container(cfg.evaluation, resolve=True)
    write_json(folder / "loading.json", {"machine": machine, "evaluation": told, "rows": rows})
    write_csv(folder / "loading.csv", rows)
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
    what = f"{photographs} photographs, batches of {batch_size}, all in the page cache after the warm-up"
    where = f"{machine['processor']}, {machine['threads']} threads"
    text = f"{table}\n{where}; {what}; medians, quartiles in brackets.\n"
    write_text(folder / "loading.md", text)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "evaluate/loading_speed", rows)
    log.info("%s", text)
