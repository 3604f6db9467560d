"""impasto verify: list the broken and the grey photographs, in files or in shards, before a training meets them."""

import os
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from impasto.build.settings import Natural, Settings
from impasto.commands import log
from impasto.data import CentreCrop, Photographs, Shards
from impasto.data.batches import PhotographDataset
from impasto.files import whole_file
from impasto.group import usable_cores
from impasto.images import from_uint8, is_grey
from impasto.tables import write_csv
from impasto.tracking.bar import Bar

_SEEN_AT = CentreCrop(size=64)  # enough to see whether a photograph is sound, and grey


class _Settings(Settings):
    num_workers: Natural


def run(cfg: DictConfig) -> None:
    """Decode every photograph; write `verify.csv` (file, finding) and `skip.txt`, which `data.skip` takes."""
    workers = min(_Settings.read(cfg).num_workers, usable_cores())
    everything = {"val_limit": None, "least_chroma": 0.0}
    data: Photographs | Shards = instantiate(cfg.data, **{k: v for k, v in everything.items() if k in cfg.data})
    data.prepare_data()
    data.setup("fit")
    checked: Any = ConcatDataset([_Checked(data.dataset(split, _SEEN_AT)) for split in ("train", "val")])
    total, findings = len(checked), dict[str, str]()
    loader: DataLoader[list[tuple[str, str]]] = DataLoader(checked, 16, collate_fn=list, num_workers=workers)
    with Bar(total=total) as bar:
        for number, (name, finding) in enumerate(found for batch in loader for found in batch):
            bar.update(number, "verify")
            if finding:
                findings[name] = finding
    for name, finding in findings.items():
        log.info("%s: %s", name, finding)
    table, skip = (Path(cfg.folder) / name for name in ("verify.csv", "skip.txt"))
    write_csv(table, [{"file": name, "finding": found} for name, found in findings.items()], first=("file", "finding"))
    with whole_file(skip) as temporary:
        temporary.write_bytes(b"".join(os.fsencode(name) + b"\n" for name in findings))
    grey = list(findings.values()).count("grey")
    broken = len(findings) - grey
    log.info("%d photographs, %d broken, %d grey; to leave them out: data.skip=%s", total, broken, grey, skip)
    if isinstance(data, Shards) and broken:
        raise ValueError(f"{broken} of {total} photographs are damaged; see {table}")


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
