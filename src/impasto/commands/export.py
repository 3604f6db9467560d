"""impasto export: a trained network as a file that other programs run."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from impasto.build.settings import Flag, Folder, Settings, Text
from impasto.engines import export_network, format_of
from impasto.runs import load_named

log = logging.getLogger(__name__)


class ExportSettings(Settings):
    """The values of conf/export.yaml."""

    run: Text
    format: Text
    output: Folder | None
    overwrite: Flag


def run(cfg: DictConfig) -> None:
    """Write the network and its card; read the file again and compare it with eager float32 at three odd sizes."""
    given = ExportSettings.read(cfg)
    kind = format_of(given.format)
    name = Path(given.run).name.removesuffix(".safetensors")
    path = given.output or Path(cfg.folder) / f"{name}{kind.suffix}"
    if path.suffix != kind.suffix:
        raise ValueError(f"expected output=<file ending in {kind.suffix}> for format={given.format}, got {path}")
    if path.exists() and not given.overwrite:
        raise ValueError(f"{path} is there already; overwrite=true replaces it")
    card = export_network(load_named(given.run), path, kind)
    checked = card["exported"]["checked"]
    log.info(
        "%s and %s: largest deviation from eager fp32 %.4f grey levels at %s",
        path,
        path.with_suffix(".json").name,
        checked["largest_deviation_grey_levels"],
        ", ".join(f"{width} x {height}" for height, width in checked["sizes"]),
    )
