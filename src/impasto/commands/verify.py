"""impasto verify: list the broken and the grey photographs, in files or in shards, before a training meets them."""

import csv
import io
import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from impasto.build.settings import Natural, Settings
from impasto.data import CentreCrop, Photographs, Shards
from impasto.data.batches import PhotographDataset
from impasto.files import whole_file
from impasto.group import usable_cores
from impasto.images import from_uint8, is_grey

log = logging.getLogger(__name__)

_SEEN_AT = CentreCrop(size=64)  # enough to see whether a photograph is sound, and grey


class VerifySettings(Settings):
    """The values of conf/verify.yaml."""

    num_workers: Natural


def run(cfg: DictConfig) -> None:
    """Decode every photograph; write `verify.csv` (file, finding) and `skip.txt`, which `data.skip` takes."""
    workers = min(VerifySettings.read(cfg).num_workers, usable_cores())
    everything = {"val_limit": None, "least_chroma": 0.0}
    data: Photographs | Shards = instantiate(cfg.data, **{k: v for k, v in everything.items() if k in cfg.data})
    data.prepare_data()
    data.setup("fit")
    datasets = [data.dataset(split, _SEEN_AT) for split in ("train", "val")]
    total = sum(map(len, datasets))
    loaders: list[Any] = [
        DataLoader(_Checked(dataset), batch_size=16, collate_fn=list, num_workers=workers) for dataset in datasets
    ]
    found = (finding for loader in loaders for findings in loader for finding in findings)
    checked = track(found, total=total, description="verify", console=Console(stderr=True))
    findings = {name: finding for name, finding in checked if finding}
    for name, finding in findings.items():
        log.info("%s: %s", name, finding)
    folder = Path(cfg.folder)
    table = io.StringIO()
    csv.writer(table).writerows([("file", "finding"), *findings.items()])
    _write(folder / "verify.csv", table.getvalue())
    _write(folder / "skip.txt", "".join(f"{name}\n" for name in findings))
    grey = sum(finding == "grey" for finding in findings.values())
    log.info(
        "%d photographs, %d broken, %d grey; to leave them out: data.skip=%s",
        total, len(findings) - grey, grey, folder / "skip.txt",
    )  # fmt: skip
    if isinstance(data, Shards) and len(findings) > grey:
        raise ValueError(f"{len(findings) - grey} of {total} photographs are damaged; see {folder / 'verify.csv'}")


class _Checked(Dataset[tuple[str, str]]):
    """Names of photographs, each with "" for a sound one in colour, "grey", or what is wrong."""

    def __init__(self, photographs: PhotographDataset) -> None:
        self.photographs = photographs

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, index: int) -> tuple[str, str]:
        try:
            finding = "grey" if is_grey(from_uint8(self.photographs.read(index)[0])) else ""
        except (ValueError, OSError) as error:
            finding = str(error)
        return self.photographs.name(index), finding


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")  # names may be any bytes
