"""impasto pack: photographs into shards, which `data=shards` streams from a disk or an object store."""

import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.build.settings import Count, Folder, Natural, Settings
from impasto.data import Photographs
from impasto.data.layouts import Labelled
from impasto.data.pack_folder import claimed, fingerprint, shuffled
from impasto.data.packing import Packing, is_packed, pack
from impasto.data.shard_index import INDEX, check_sizes, read_index
from impasto.tracking.bar import Bar

log = logging.getLogger(__name__)

_OF_TRAINING = ("train_transform", "val_transform", "batch_size", "num_workers", "seed")


class PackSettings(Settings):
    """The values of conf/pack.yaml."""

    output: Folder
    shorter_side: Count | None
    shard_bytes: Count
    num_workers: Natural
    seed: int


def run(cfg: DictConfig) -> None:
    """Write shards and their indices; the same command goes on with what was interrupted."""
    given = PackSettings.read(cfg)
    data = instantiate(cfg.data)
    if not isinstance(data, Photographs):
        raise ValueError("expected data=<photographs in files>, such as data=scenes or data=coco; shards are packed")
    data.prepare_data()
    data.setup("fit")
    train = [Labelled(*item) for item in zip(data.train_paths, data.train_labels, strict=True)]
    val = [Labelled(*item) for item in zip(data.val_paths, data.val_labels, strict=True)]
    splits = {"train": shuffled(train, given.seed), "val": val}  # held-out ones in order
    with (
        claimed(given.output, _identity(cfg) | {"photographs": fingerprint(splits)}),
        Bar(total=len(train) + len(val)) as bar,
    ):
        finished = is_packed(given.output)
        packing = Packing(
            classes=data.classes,
            shorter_side=given.shorter_side,
            shard_bytes=given.shard_bytes,
            workers=given.num_workers,
            progress=lambda done: bar.update(done, f"{bar.rate(done):.0f} photographs/s"),
        )
        try:
            left_out = pack(splits, given.output, packing)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("stopped; the same command goes on from the last shard that is finished") from error
        if finished:
            for split in splits:
                check_sizes(given.output / split, read_index(given.output / split / INDEX).sizes)
    if finished:
        log.info("%s is packed already; nothing was done", given.output)
    else:
        _report(given.output, left_out)


def _identity(cfg: DictConfig) -> dict[str, Any]:
    """What makes a pack the same: its photographs, and whatever changes what is written."""
    data: Any = OmegaConf.to_container(cfg.data, resolve=False)
    kept = {key: value for key, value in data.items() if key not in _OF_TRAINING}
    return {"data": kept, **{key: cfg[key] for key in ("seed", "shorter_side", "shard_bytes", "num_workers")}}


def _report(output: Path, left_out: dict[str, list[str]]) -> None:
    for split, problems in left_out.items():
        index = read_index(output / split / INDEX)
        log.info(
            "%s: %d photographs in %d shards, %.1f MB; %d broken ones left out",
            split, index.photographs - len(problems), len(index.sizes), sum(index.sizes.values()) / 1e6, len(problems),
        )  # fmt: skip
        for problem in problems:
            log.info("left out: %s", problem)
    log.info("to train on them: data=shards data.urls=%s", output)
