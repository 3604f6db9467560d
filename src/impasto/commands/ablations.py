"""The ablations of a colorizer: variants trained from the same seed, measured on the same held-out photographs."""

import json
import logging
import math
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.commands.ablations_report import Report
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import Places
from impasto.evaluation.colorizers import Measured, comparisons, measure_colorizer, measure_guesses
from impasto.evaluation.colour import mean_chroma
from impasto.files import sha256
from impasto.hardware import check_device, describe_machine
from impasto.images import read_image, sheet, write_image
from impasto.launch.resume import begin_again
from impasto.launch.words import quote
from impasto.networks import Trained
from impasto.runs import load_run
from impasto.tables import write_json
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 30.0
_PHOTOGRAPHS_FOR_MEAN = 500
_TRAIN = (sys.executable, "-m", "impasto.cli", "train")
_STOPPED = (130, -signal.SIGINT)  # exit codes of a training: by itself, or before it listens
_GUESSES = ("grey", "mean chroma", "truth")  # rows that no network makes


def evaluate_ablations(
    cfg: DictConfig,
    *,
    train: Sequence[str] | str,
    variants: Mapping[str, Sequence[str] | str | None] | None,
    runs: Mapping[str, str] | None,
    count: int | None,
    rows: int,
) -> None:
    """Train what is not trained yet, measure every variant; write `ablations.json`, `.csv`, `.md` and `.png`.

    Every training is an `impasto train` of its own, in a run folder below this one; a resumed evaluation goes on with
    the training that was interrupted and keeps those that are finished.

    Args:
        cfg: the whole configuration.
        train: words behind `impasto train` for every variant.
        variants: by name, the words that are its own; they win over those of `train` and over our own seed.
        runs: by name, a run folder that is trained already, or a network file; takes the place of the training.
        count: photographs to measure, evenly spread over those held out; None takes all.
        rows: photographs on the contact sheet.

    Raises:
        ValueError: no variants, two that share a folder, a word that `impasto train` does not take, a variant in `runs`
            that is none, or a training that failed.
        Interrupted: stopped by Ctrl-C; says how to go on.
    """
    words = _named(variants, train)
    given = {str(name): Path(str(path)).expanduser() for name, path in (runs or {}).items()}
    if unknown := [name for name in given if name not in words]:
        raise ValueError(f"evaluation.runs names '{unknown[0]}'; expected one of {', '.join(words)}")
    if rows < 1 or (count is not None and count < 1):
        raise ValueError(f"expected evaluation.rows and count of at least 1, got {rows} and {count}")
    check_device(cfg.device)
    folder = Path(cfg.folder)
    log.info("run folder: %s", folder)
    try:
        for name, own in words.items():  # what is wrong is said before the hours that trainings take
            if name in given:
                load_run(given[name], system="colorizer")
            else:
                _check_words(cfg, name, own)
        begin_again(cfg)
        folders = {name: given[name] if name in given else _trained(cfg, name, own) for name, own in words.items()}
        data = _held_out(folders.values())
        report = _measured(cfg, folders, data, count)
        _draw(cfg, folders, data, rows)
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; go on with: impasto evaluate resume={shlex.quote(str(folder))}") from error
    report.write(folder)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "evaluate/ablations", report.rows(), picture=folder / "ablations.png")
    log.info("%s", report.text())


def _named(
    variants: Mapping[str, Sequence[str] | str | None] | None, train: Sequence[str] | str
) -> dict[str, list[str]]:
    """Words by variant; names must differ as folders and as rows of the table."""
    if not variants:
        raise ValueError("expected evaluation.variants, got none")
    named = {str(name): [*_words(train), *_words(words)] for name, words in variants.items()}
    folders: dict[str, str] = {}
    for name in named:
        folder = _folder_name(name)
        if not folder.strip(". ") or name in _GUESSES:
            raise ValueError(f"'{name}' cannot name a variant; {', '.join(_GUESSES)} are rows of the table already")
        if folder in folders:
            raise ValueError(f"the variants '{folders[folder]}' and '{name}' would share the folder runs/{folder}")
        folders[folder] = name
    return named


def _words(words: Sequence[str] | str | None) -> list[str]:
    return [words] if isinstance(words, str) else [str(word) for word in words or []]


def _folder_name(name: str) -> str:
    return name.replace("/", "-")


def _run_folder(cfg: DictConfig, name: str) -> Path:
    return Path(cfg.folder).absolute() / "runs" / _folder_name(name)


def _status(folder: Path) -> str | None:
    """How a training stands; None where it has not begun."""
    file = folder / "status.json"
    return str(json.loads(file.read_text(encoding="utf-8"))["status"]) if file.is_file() else None


def _whole_words(cfg: DictConfig, name: str, own: list[str]) -> list[str]:
    """Everything behind `impasto train`: what ours has in common first, so that a variant's own words win."""
    shared = [f"data_root={quote(cfg.data_root)}", f"seed={cfg.seed}", *(["logger=csv"] if cfg.logger is None else [])]
    return [*shared, *own, f"hydra.run.dir={quote(str(_run_folder(cfg, name)))}"]


def _check_words(cfg: DictConfig, name: str, own: list[str]) -> None:
    """Refuse what `impasto train` would refuse."""
    if _status(_run_folder(cfg, name)) is not None:
        return
    command = [*_TRAIN, *_whole_words(cfg, name, own), "--cfg", "job"]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode in _STOPPED:
        raise KeyboardInterrupt
    if found.returncode:
        raise ValueError(f"variant '{name}': {' '.join(found.stderr.split()).removeprefix('error: ')}")


def _trained(cfg: DictConfig, name: str, own: list[str]) -> Path:
    """Return the run folder of a variant, trained to its end."""
    folder = _run_folder(cfg, name)
    status = _status(folder)
    if status == "finished":
        log.info("%s: trained already", name)
        return folder
    words = _whole_words(cfg, name, own) if status is None else [f"resume={quote(str(folder))}"]
    log.info("%s: impasto train %s", name, shlex.join(words))
    child = subprocess.Popen([*_TRAIN, *words])
    try:
        code = child.wait()
    except KeyboardInterrupt:  # the terminal sent it to the child as well, which saves and ends
        child.terminate()
        child.wait()
        raise
    if code in _STOPPED:
        raise KeyboardInterrupt
    if code:
        raise ValueError(f"the training of '{name}' failed with exit code {code}; its words were: {shlex.join(words)}")
    return folder


def _held_out(folders: Iterable[Path]) -> Places:
    """The data of the first training whose configuration is there."""
    files = [(folder if folder.is_dir() else folder.parent) / "config.yaml" for folder in folders]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"no {files[0]}; expected the run folder of an 'impasto train'")
    data: Places = instantiate(OmegaConf.load(file).data)
    data.prepare_data()
    data.setup("fit")
    return data


def _spread(items: Sequence[Any], count: int | None) -> list[Any]:
    taken = min(count or len(items), len(items))
    return [items[index * len(items) // taken] for index in range(taken)]


def _measured(cfg: DictConfig, folders: Mapping[str, Path], data: Places, count: int | None) -> Report:
    file = Path(cfg.folder) / "ablations.json"
    paths, labels = _spread(data.val_paths, count), _spread(data.val_labels, count)
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "device": cfg.device,
        "photographs": len(paths),
        "classes": len(data.classes),
        "variants": {},
    }
    if cfg.resume is not None and file.is_file():
        saved = json.loads(file.read_text(encoding="utf-8"))
        if saved["photographs"] == len(paths):  # another count= measures all anew
            results["variants"] = saved["variants"]
    if "grey" not in results["variants"]:
        log.info("measuring guesses on %d photographs", len(paths))
        chroma = mean_chroma(map(read_image, _spread(data.train_paths, _PHOTOGRAPHS_FOR_MEAN)))
        guesses = measure_guesses(paths, labels, chroma)
        results["variants"] |= {name: _figures(guesses[name], colour=True, scenes=True) for name in _GUESSES}
    for name, folder in folders.items():
        trained = _of_these_scenes(load_run(folder, system="colorizer"), folder, data)
        network = sha256(folder / "network.safetensors" if folder.is_dir() else folder)
        if results["variants"].get(name, {}).get("sha256") == network:
            continue
        trained.network.to(cfg.device)
        with Bar(total=len(paths), done=0, log_every_seconds=_LOG_EVERY_SECONDS) as bar:
            found = measure_colorizer(trained, paths, labels, lambda done, bar=bar, name=name: bar.update(done, name))  # type: ignore[misc]
        weights = trained.card["loss"]["weights"]
        results["variants"][name] = {
            **_figures(found, colour=_learned_colour(trained), scenes=bool(weights["class"])),
            "steps": trained.card.get("steps"),
            "sha256": network,
        }
        write_json(file, results)
    return Report(results, order=[*_GUESSES[:2], *folders, _GUESSES[2]])


def _of_these_scenes(trained: Trained, folder: Path, data: Places) -> Trained:
    if trained.card["classes"] != data.classes:
        raise ValueError(
            f"{folder} was trained on other scenes than those of {data.root}; expected one data set for all"
        )
    return trained


def _figures(found: Measured, *, colour: bool, scenes: bool) -> dict[str, float | None]:
    """Return plain numbers; None for what a variant did not learn, and where no error makes a PSNR infinite."""
    figures = {key: value if colour else None for key, value in found.error._asdict().items()}
    figures |= {"top1": found.top1 if scenes else None, "top5": found.top5 if scenes else None}
    return {key: value if value is not None and math.isfinite(value) else None for key, value in figures.items()}


def _learned_colour(trained: Trained) -> bool:
    weights = trained.card["loss"]["weights"]
    return bool(weights["colour"] or weights["perceptual"])


def _draw(cfg: DictConfig, folders: Mapping[str, Path], data: Places, rows: int) -> None:
    """Draw the contact sheet: grey, each variant that learned colours, truth."""
    networks = [load_run(folder, system="colorizer") for folder in folders.values()]
    coloured = [trained for trained in networks if _learned_colour(trained)]
    photos = [read_image(path) for path in _spread(data.val_paths, rows)]
    write_image(Path(cfg.folder) / "ablations.png", sheet(list(comparisons(coloured, photos)), cell=224))
