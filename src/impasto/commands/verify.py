"""impasto verify: list the broken and the grey photographs, or damaged shards, before a training meets them."""

import csv
import logging
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import IO

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.progress import track

from impasto.data import Photographs, Shards
from impasto.data.shard_index import compare_checksums
from impasto.files import whole_file
from impasto.images import is_grey, read_image
from impasto.tracking.bar import Bar

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Decode every photograph; write `verify.csv` (file, finding) and `skip.txt`, which `data.skip` takes.

    Raises:
        FileNotFoundError: the data set is not there.
        ValueError: shards that differ from their index; `verify.csv` names them.
    """
    everything = {"val_limit": None, "least_chroma": 0.0}
    whole = {key: value for key, value in everything.items() if key in cfg.data}
    data: Photographs | Shards = instantiate(cfg.data, **whole)
    if isinstance(data, Shards):
        _verify_shards(data, Path(cfg.folder))
        return
    data.prepare_data()
    data.setup("fit")
    paths = [*data.train_paths, *data.val_paths]
    with ProcessPoolExecutor(max(1, cfg.num_workers), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        checked = track(pool.map(_check, paths, chunksize=16), total=len(paths), description="verify")
        findings = {path: finding for path, finding in zip(paths, checked, strict=True) if finding}
    folder = Path(cfg.folder)
    with whole_file(folder / "verify.csv") as temporary, _open(temporary) as file:
        csv.writer(file).writerows([("file", "finding"), *findings.items()])
    with whole_file(folder / "skip.txt") as temporary, _open(temporary) as file:
        file.writelines(f"{path.absolute()}\n" for path in findings)
    for path, finding in findings.items():
        log.info("%s: %s", path, finding)
    grey = sum(finding == "grey" for finding in findings.values())
    log.info(
        "%d photographs, %d broken, %d grey; to leave them out: data.skip=%s",
        len(paths),
        len(findings) - grey,
        grey,
        folder / "skip.txt",
    )


def _verify_shards(data: Shards, folder: Path) -> None:
    shards = [*data.index.train, *data.index.val]
    with Bar(total=len(shards), done=0, log_every_seconds=30) as bar:
        findings = compare_checksums(data.source, shards, lambda done: bar.update(done, "shards"))
    with whole_file(folder / "verify.csv") as temporary, _open(temporary) as file:
        csv.writer(file).writerows([("file", "finding"), *findings.items()])
    for name, finding in findings.items():
        log.info("%s %s", data.source.url(name), finding)
    if findings:
        raise ValueError(
            f"{len(findings)} of {len(shards)} shards differ from their index; see {folder / 'verify.csv'}"
        )
    photographs = sum(shard.samples for shard in shards)
    log.info("%d shards with %d photographs are as they were packed", len(shards), photographs)


def _open(path: Path) -> IO[str]:
    return path.open("w", newline="", encoding="utf-8", errors="surrogateescape")  # names of files may be any bytes


def _check(path: Path) -> str:
    """Return "" for a sound colour photograph, "grey", or what is wrong."""
    try:
        image = read_image(path, at_least=64)
    except (ValueError, OSError) as error:
        return str(error)
    return "grey" if is_grey(image) else ""
