"""The ablations of a colorizer: variants trained from the same seed, measured on the same held-out photographs."""

import json
import logging
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.commands.ablations_report import Report
from impasto.commands.arguments import quote
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import Places
from impasto.evaluation.colorizers import comparisons, measure_colorizer, measure_guesses
from impasto.evaluation.colour import mean_chroma
from impasto.evaluation.tables import write_json
from impasto.files import sha256
from impasto.hardware import describe_machine
from impasto.images import read_image, sheet, write_image
from impasto.runs import load_run
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 30.0
_PHOTOGRAPHS_FOR_MEAN = 500


def evaluate_ablations(
    cfg: DictConfig,
    *,
    train: Sequence[str],
    variants: Mapping[str, Sequence[str]],
    runs: Mapping[str, str],
    count: int | None,
    rows: int,
) -> None:
    """Train what is not trained yet, measure every variant; write `ablations.json`, `.csv`, `.md` and `.png`.

    Every training is an `impasto train` of its own, in a run folder below this one; a resumed evaluation goes on with
    the training that was interrupted and keeps those that are finished.

    Args:
        cfg: the whole configuration.
        train: words behind `impasto train` for every variant.
        variants: by name, the words that are its own.
        runs: by name, a run folder that is trained already, or a network file; takes the place of the training.
        count: photographs to measure, evenly spread over those held out; None takes all.
        rows: photographs on the contact sheet.

    Raises:
        ValueError: no variants, a variant in `runs` that is none, or a training that failed.
        Interrupted: stopped by Ctrl-C; says how to go on.
    """
    if not variants:
        raise ValueError("expected evaluation.variants, got none")
    if unknown := [name for name in runs if name not in variants]:
        raise ValueError(f"evaluation.runs names '{unknown[0]}'; expected one of {', '.join(variants)}")
    folder = Path(cfg.folder)
    log.info("run folder: %s", folder)
    try:
        folders = {
            name: Path(runs[name]).expanduser() if name in runs else _trained(cfg, name, [*train, *words])
            for name, words in variants.items()
        }
        report = _measured(cfg, folders, count)
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; go on with: impasto evaluate resume={shlex.quote(str(folder))}") from error
    _draw(cfg, folders, rows)
    report.write(folder)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "evaluate/ablations", report.rows(), picture=folder / "ablations.png")
    log.info("%s", report.text())


def _trained(cfg: DictConfig, name: str, words: list[str]) -> Path:
    """Return the run folder of a variant, trained to its end."""
    folder = Path(cfg.folder).absolute() / "runs" / name.replace("/", "-")
    if (folder / "status.json").is_file():
        if json.loads((folder / "status.json").read_text(encoding="utf-8"))["status"] == "finished":
            log.info("%s: trained already", name)
            return folder
        words = [f"resume={quote(str(folder))}"]
    else:
        words = [*words, f"hydra.run.dir={quote(str(folder))}", f"data_root={quote(cfg.data_root)}", f"seed={cfg.seed}"]
        if cfg.logger is None:
            words.append("logger=csv")
    log.info("%s: impasto train %s", name, shlex.join(words))
    child = subprocess.Popen([sys.executable, "-m", "impasto.cli", "train", *words])
    try:
        code = child.wait()
    except KeyboardInterrupt:  # the terminal sent it to the child as well, which saves and ends
        child.terminate()
        child.wait()
        raise
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise ValueError(f"the training of '{name}' failed with exit code {code}; its words were: {shlex.join(words)}")
    return folder


def _held_out(folder: Path) -> Places:
    """The data of a training."""
    file = folder / "config.yaml" if folder.is_dir() else folder.parent / "config.yaml"
    if not file.is_file():
        raise FileNotFoundError(f"no {file}; expected the run folder of an 'impasto train'")
    data: Places = instantiate(OmegaConf.load(file).data)
    data.prepare_data()
    data.setup("fit")
    return data


def _spread(items: Sequence[Any], count: int | None) -> list[Any]:
    taken = min(count or len(items), len(items))
    return [items[index * len(items) // taken] for index in range(taken)]


def _measured(cfg: DictConfig, folders: Mapping[str, Path], count: int | None) -> Report:
    file = Path(cfg.folder) / "ablations.json"
    data = _held_out(next(iter(folders.values())))
    paths, labels = _spread(data.val_paths, count), _spread(data.val_labels, count)
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "photographs": len(paths),
        "classes": len(data.classes),
        "variants": {},
    }
    if cfg.resume is not None and file.is_file():
        results["variants"] = json.loads(file.read_text(encoding="utf-8"))["variants"]
    if "grey" not in results["variants"]:
        log.info("measuring guesses on %d photographs", len(paths))
        chroma = mean_chroma(map(read_image, _spread(data.train_paths, _PHOTOGRAPHS_FOR_MEAN)))
        for name, found in measure_guesses(paths, labels, chroma).items():
            results["variants"][name] = {**found.error._asdict(), "top1": found.top1, "top5": found.top5}
    for name, folder in folders.items():
        network = folder / "network.safetensors" if folder.is_dir() else folder
        trained = load_run(folder, system="colorizer")
        if results["variants"].get(name, {}).get("sha256") == sha256(network):
            continue
        with Bar(total=len(paths), done=0, log_every_seconds=_LOG_EVERY_SECONDS) as bar:
            found = measure_colorizer(trained, paths, labels, lambda done, bar=bar, name=name: bar.update(done, name))  # type: ignore[misc]
        weights = trained.card["loss"]["weights"]
        results["variants"][name] = {
            **(found.error._asdict() if weights["colour"] else dict.fromkeys(found.error._fields)),
            "top1": found.top1 if weights["class"] else None,
            "top5": found.top5 if weights["class"] else None,
            "steps": trained.card.get("steps"),
            "sha256": sha256(network),
        }
        write_json(file, results)
    return Report(results, order=["grey", "mean chroma", *folders, "truth"])


def _draw(cfg: DictConfig, folders: Mapping[str, Path], rows: int) -> None:
    """Draw the contact sheet: grey, each variant that learned colours, truth."""
    networks = [load_run(folder, system="colorizer") for folder in folders.values()]
    coloured = [trained for trained in networks if trained.card["loss"]["weights"]["colour"]]
    data = _held_out(next(iter(folders.values())))
    photos = [read_image(path) for path in _spread(data.val_paths, rows)]
    write_image(Path(cfg.folder) / "ablations.png", sheet(list(comparisons(coloured, photos)), cell=224))
