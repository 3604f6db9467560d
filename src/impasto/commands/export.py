"""impasto export: a trained network as a file that other programs run."""

from pathlib import Path

from omegaconf import DictConfig

from impasto.build.settings import Flag, Folder, Settings, Text
from impasto.commands import log
from impasto.engines import export_network, format_of
from impasto.trained import load_named


class _Settings(Settings):
    run: Text
    format: Text
    output: Folder | None
    overwrite: Flag


def run(cfg: DictConfig) -> None:
    """Write the network and its card; read the file again and compare it with eager float32 at three odd sizes."""
    given = _Settings.read(cfg)
    kind = format_of(given.format)
    name = Path(given.run).name.removesuffix(".safetensors")
    path = given.output or Path(cfg.folder) / f"{name}{kind.suffix}"
    if path.suffix != kind.suffix:
        raise ValueError(f"expected output=<file ending in {kind.suffix}> for format={given.format}, got {path}")
    if path.exists() and not given.overwrite:
        raise ValueError(f"{path} is there already; overwrite=true replaces it")
    card = export_network(load_named(given.run), path, kind)
    checked = card["exported"]["checked"]
    found = f"largest deviation from eager fp32 {checked['largest_deviation_grey_levels']:.4f} grey levels"
    sizes = ", ".join(f"{width} x {height}" for height, width in checked["sizes"])
    log.info("%s and %s: %s at %s", path, path.with_suffix(".json").name, found, sizes)
