"""impasto pack: photographs into tar shards, which `data=shards` streams from a disk, a web server, an object store."""

import logging
import time
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.data import Photographs
from impasto.data.pack_folder import PackFolder
from impasto.data.packing import Packing, fingerprint, pack, shuffled
from impasto.data.photographs import Labelled
from impasto.data.shard_index import check_shards, load_index
from impasto.data.shard_source import Source
from impasto.tracking.bar import Bar

log = logging.getLogger(__name__)

_OF_TRAINING = ("train_transform", "val_transform", "batch_size", "num_workers", "seed")


def run(cfg: DictConfig) -> None:
    """Write shards and their index; the same command goes on with what was interrupted.

    Raises:
        FileNotFoundError: the data set is not there.
        ValueError: an option out of range, an output that is not of this pack, or photographs of which none is sound.
        KeyboardInterrupt: stopped; says how to go on.
    """
    _check(cfg)
    data = instantiate(cfg.data)
    if not isinstance(data, Photographs):
        raise ValueError("expected data=<photographs in files>, such as data=scenes or data=coco; shards are packed")
    data.prepare_data()
    data.setup("fit")
    train, val = (
        [Labelled(path, label) for path, label in zip(paths, labels, strict=True)]
        for paths, labels in ((data.train_paths, data.train_labels), (data.val_paths, data.val_labels))
    )
    splits = {"train": shuffled(train, cfg.seed), "val": val}  # held-out ones in order, as the folder reader has them
    output = Path(str(cfg.output)).expanduser()
    folder = PackFolder(output, _settings(cfg) | {"photographs": fingerprint(splits)})
    with folder.claimed():
        if folder.finished:
            index = load_index(Source(str(output)))
            check_shards(Source(str(output)), [*index.train, *index.val])
            log.info("%s is packed already; nothing was done", output)
            return
        _report(output, _pack(cfg, splits, folder, getattr(data, "classes", [])))


def _pack(cfg: DictConfig, splits: dict[str, list[Labelled]], folder: PackFolder, classes: list[str]) -> dict[str, Any]:
    begin, kept, done = time.perf_counter(), folder.photographs, 0
    if kept:
        log.info("%d photographs are packed already", kept)
    with Bar(total=sum(map(len, splits.values())), done=kept, log_every_seconds=30) as bar:

        def tell(more: int, shard: str) -> None:
            nonlocal done
            done += more
            rate = max(0, done - kept) / max(1e-9, time.perf_counter() - begin)
            bar.update(max(done, kept), f"{rate:.0f} photographs/s, {shard}")

        packing = Packing(classes, cfg.shorter_side, cfg.shard_bytes, cfg.num_workers, tell)
        try:
            return pack(splits, folder, packing)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(
                f"stopped after {done} photographs; the same command goes on from the last shard that is finished"
            ) from error


def _check(cfg: DictConfig) -> None:
    least = {"shard_bytes": 1, "num_workers": 0} | ({} if cfg.shorter_side is None else {"shorter_side": 1})
    for name, value in least.items():
        if not isinstance(cfg[name], int) or cfg[name] < value:
            raise ValueError(f"expected {name} to be a whole number of at least {value}, got {cfg[name]}")


def _settings(cfg: DictConfig) -> dict[str, Any]:
    data: Any = OmegaConf.to_container(cfg.data, resolve=False)
    kept = {key: value for key, value in data.items() if key not in _OF_TRAINING}
    return {"data": kept, "seed": cfg.seed, "shorter_side": cfg.shorter_side, "shard_bytes": cfg.shard_bytes}


def _report(output: Path, index: dict[str, Any]) -> None:
    for split in ("train", "val"):
        shards, left_out = index[split], index["left_out"][split]
        samples, size = sum(s["samples"] for s in shards), sum(s["bytes"] for s in shards)
        log.info(
            "%s: %d photographs in %d shards, %.1f MB; %d broken ones left out",
            split, samples, len(shards), size / 1e6, len(left_out),
        )  # fmt: skip
        for problem in left_out:
            log.info("left out: %s", problem)
    log.info("to train on them: data=shards data.urls=%s", output)
