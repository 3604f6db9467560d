"""impasto pack: photographs into shards, which `data=shards` streams from a disk or an object store."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.build.settings import Count, Folder, Natural, Settings
from impasto.commands import log
from impasto.data import Photographs
from impasto.data.layouts import Labelled
from impasto.data.packing import Packing, pack
from impasto.data.shards import INDEX, check_sizes
from impasto.tracking.bar import Bar

_OF_TRAINING = ("train_transform", "val_transform", "batch_size", "num_workers", "seed")


class _Settings(Settings):
    output: Folder
    shorter_side: Count | None
    shard_bytes: Count
    num_workers: Natural
    seed: int


def run(cfg: DictConfig) -> None:
    """Write shards and their indices; the same command goes on with what was interrupted."""
    given = _Settings.read(cfg)
    lock = Path(f"{given.output}.lock")
    try:
        with FileLock(lock, timeout=0):
            _pack(cfg, given)
            lock.unlink(missing_ok=True)
    except Timeout as error:
        raise ValueError(f"another process packs into {given.output}; wait for it, or stop it") from error


def _pack(cfg: DictConfig, given: _Settings) -> None:
    data = instantiate(cfg.data)
    if not isinstance(data, Photographs):
        raise ValueError("expected data=<photographs in files>, such as data=scenes or data=coco; shards are packed")
    data.prepare_data()
    data.setup("fit")
    train = list(map(Labelled, data.train_paths, data.train_labels))
    order = np.random.default_rng(given.seed).permutation(len(train))  # so that every shard is a mixture
    splits = {"train": [train[n] for n in order], "val": list(map(Labelled, data.val_paths, data.val_labels))}
    total, done = len(data.train_paths) + len(data.val_paths), 0
    names = [f"{split}\0{path.name}\0{label}" for split, items in splits.items() for path, label in items]
    digest = hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()
    settings: Any = OmegaConf.to_container(cfg.data, resolve=False)
    settings = {key: value for key, value in settings.items() if key not in _OF_TRAINING}
    settings |= {"seed": given.seed, "shorter_side": given.shorter_side, "shard_bytes": given.shard_bytes}
    if given.output.exists() and any(given.output.iterdir()) and not list(given.output.glob("train/*.json")):
        raise ValueError(f"{given.output} holds other files; expected output=<a new or empty folder>")
    if finished := all((given.output / split / INDEX).is_file() for split in splits):
        log.info("%s is packed already; nothing was done", given.output)
    with Bar(total=total) as bar:
        for split, items in splits.items():
            how = Packing(
                classes=data.classes,
                shorter_side=given.shorter_side,
                shard_bytes=given.shard_bytes,
                workers=given.num_workers,
                settings=settings | {"photographs": digest},
                progress=partial(_show, bar, done),
            )
            try:
                index = pack(items, given.output / split, how)
            except KeyboardInterrupt as error:
                raise KeyboardInterrupt("stopped; the same command goes on from the last whole shard") from error
            check_sizes(given.output / split, index.sizes)
            found = f"{sum(index.photographs)} photographs in {len(index.sizes)} shards"
            size = sum(index.sizes.values()) / 1e6
            log.info("%s: %s, %.1f MB; %d broken ones left out", split, found, size, len(index.left_out))
            for problem in index.left_out:
                log.info("left out: %s", problem)
            done += len(items)
    if not finished:
        log.info("to train on them: data=shards data.urls=%s", given.output)


def _show(bar: Bar, before: int, number: int) -> None:
    bar.update(before + number, f"{bar.rate(before + number):.0f} photographs/s")
