"""The ablations of a colorizer: variants trained from the same seed, measured on the same held-out photographs."""

import logging
import math
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
import yaml
from pydantic import BeforeValidator, Field

from impasto.data import Places
from impasto.evaluation.colour import colorizer_of, mean_chroma, measure_colorizer, measure_guesses, tinted
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Listed, Row, Table, fingerprint
from impasto.evaluation.lpips import FoundLPIPS
from impasto.images import read_image, sheet, write_image
from impasto.listing import evenly_spread
from impasto.networks import Trained
from impasto.run_folders import RunFolder
from impasto.tables import fixed
from impasto.trained import load_run

log = logging.getLogger(__name__)

_PHOTOGRAPHS_FOR_MEAN = 500
_TRAIN = (sys.executable, "-m", "impasto.cli", "train")
_STOPPED = (130, -signal.SIGINT)  # exit codes of a training: by itself, or before it listens
_GUESSES = ("grey", "mean chroma", "truth")  # rows that no network makes
_COLUMNS = {
    "ciede2000": ("CIEDE2000", 2),
    "psnr_ab": ("PSNR ab, dB", 2),
    "psnr_rgb": ("PSNR RGB, dB", 2),
    "lpips": ("LPIPS", 3),
    "colourfulness": ("colourfulness", 1),
    "top1": ("top-1", 3),
    "top5": ("top-5", 3),
    "steps": ("steps", 0),
}


Name = Annotated[str, Field(pattern=r"^[^/]*[^/. ][^/]*$")]  # of a variant, and of its folder


class Ablations(Comparison):
    """A row a variant, each an `impasto train` of its own below this folder; a resumed evaluation goes on with it."""

    name: ClassVar[str] = "ablations"
    train: Annotated[list[str], Listed]
    variants: Annotated[dict[Name, Annotated[list[str] | None, Listed]], Field(min_length=1)]
    runs: Annotated[dict[str, str], BeforeValidator(lambda value: value or {})]
    count: Count | None
    lpips: FoundLPIPS
    rows: Count
    folder: str
    data_root: str
    seed: int
    logger: str | None
    build: Callable[[Any], Places]

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """By variant, the folder of its training, or the folder or file that is given."""
        own = {name: Path(self.folder).absolute() / "runs" / name for name in self.variants}
        return own | {name: Path(path).expanduser() for name, path in self.runs.items()}

    def _words(self, name: str) -> list[str]:
        """Behind `impasto train`: what all share first, so that a variant's own words win."""
        shared = [f"data_root={self.data_root}", f"seed={self.seed}", *([] if self.logger else ["logger=csv"])]
        return [*shared, *self.train, *(self.variants[name] or [])]

    def about(self) -> dict[str, Any]:
        """Say which networks are given; refuse a training's words before the hours that others take."""
        if taken := {*self.variants} & {*_GUESSES}:
            raise ValueError(f"'{taken.pop()}' cannot name a variant; {', '.join(_GUESSES)} are rows already")
        if unknown := {*self.runs} - {*self.variants}:
            raise ValueError(f"evaluation.runs names '{unknown.pop()}'; expected one of {', '.join(self.variants)}")
        given = {}
        for name, folder in self._folders.items():
            if name in self.runs:
                given[name] = fingerprint(load_run(folder, system="colorizer").network)
            elif not RunFolder(folder).status():
                found = subprocess.run([*_TRAIN, *self._words(name), "--cfg", "job"], capture_output=True, text=True)
                if found.returncode in _STOPPED:
                    raise KeyboardInterrupt
                if found.returncode:
                    raise ValueError(f"variant '{name}': {' '.join(found.stderr.split()).removeprefix('error: ')}")
        return {"runs": given, "lpips": self.lpips is not None}

    def cells(self) -> Cells:
        """Train what is not trained yet; measure each variant, and what guesses without a network reach."""
        trainings = {f"training of {n}": partial(self._train, n) for n in self.variants if n not in self.runs}
        measured = {name: partial(self._measure, name) for name in self.variants}
        return {**trainings, **measured, "guesses": self._measure_guesses}

    def _train(self, name: str) -> Figures:
        folder = self._folders[name]
        status = RunFolder(folder).status().get("status")
        if status == "finished":
            log.info("%s: trained already", name)
            return {"status": status}
        folder.mkdir(parents=True, exist_ok=True)  # which lets the command line quote a name that Hydra cannot read
        words = [f"resume={folder}"] if status else [*self._words(name), f"hydra.run.dir={folder}"]
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
            raise ValueError(f"the training of '{name}' failed with exit code {code}; its words: {shlex.join(words)}")
        return {"status": "finished"}

    @cached_property
    def _data(self) -> Places:
        """The data of the first training whose configuration is there."""
        files = [(path if path.is_dir() else path.parent) / "config.yaml" for path in self._folders.values()]
        found = [file for file in files if file.is_file()]
        if not found:
            raise FileNotFoundError(f"no {files[0]}; expected the run folder of an 'impasto train'")
        data = self.build(yaml.safe_load(found[0].read_text(encoding="utf-8"))["data"])
        data.prepare_data()
        data.setup("fit")
        return data

    @property
    def _held_out(self) -> tuple[list[Path], list[int]]:
        return evenly_spread(self._data.val_paths, self.count), evenly_spread(self._data.val_labels, self.count)

    def _measure(self, name: str) -> Figures:
        trained = load_run(self._folders[name], system="colorizer")
        if trained.card["classes"] != self._data.classes:
            what = f"{self._folders[name]} was trained on other scenes than those of {self._data.root}"
            raise ValueError(f"{what}; expected one data set for all")
        trained.network.to(self.device)
        found = measure_colorizer(trained, *self._held_out, lpips=self.lpips)
        scenes, colours = bool(trained.card["loss"]["weights"]["class"]), _learned_colour(trained)
        learned = {key: value for key, value in found.items() if (scenes if key.startswith("top") else colours)}
        return {**_finite(learned), "steps": trained.card.get("steps")}

    def _measure_guesses(self) -> Figures:
        chroma = mean_chroma(map(read_image, evenly_spread(self._data.train_paths, _PHOTOGRAPHS_FOR_MEAN)))
        found = measure_guesses(*self._held_out, chroma, lpips=self.lpips)
        return {name: _finite(measured) for name, measured in found.items()}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a variant, between the guesses and the truth; None where a variant has no such figure."""
        found = {**figures["guesses"], **figures}
        columns = {k: v for k, v in _COLUMNS.items() if k != "lpips" or self.lpips is not None}
        order = [*_GUESSES[:2], *self.variants, _GUESSES[2]]
        rows: list[Row] = [{"variant": name, **{key: found[name].get(key) for key in columns}} for name in order]
        lines = [[row["variant"], *(fixed(row[key], n) for key, (_, n) in columns.items())] for row in rows]
        shown = [row["variant"] for row in rows if row["ciede2000"] is not None and row["variant"] != "mean chroma"]
        notes = [
            f"{len(self._held_out[0])} held-out photographs of {len(self._data.classes)} scenes, each at its own size; "
            "no loss network. Top-1 and top-5 of the mean chroma: the most frequent scenes.",
            f"Columns of ablations.png: {', '.join(shown)}.",
        ]
        titles = ["variant", *(title for title, _ in columns.values())]
        return Table(rows, self.words(titles, lines, notes))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw the contact sheet: grey, each variant that learned colours, truth."""
        networks = [load_run(folder, system="colorizer") for folder in self._folders.values()]
        methods = [colorizer_of(trained) for trained in networks if _learned_colour(trained)]
        photos = [read_image(photo) for photo in evenly_spread(self._data.val_paths, self.rows)]
        grey = torch.zeros(1, 2, 1, 1)
        rows = [[tinted(photo, grey), *(method(photo).image for method in methods), photo] for photo in photos]
        write_image(path, sheet(rows, cell=224))
        return [path]


def _finite(found: Figures) -> Figures:
    """What JSON holds: without the infinite PSNR of no error."""
    return {key: value for key, value in found.items() if value is not None and math.isfinite(value)}


def _learned_colour(trained: Trained) -> bool:
    weights = trained.card["loss"]["weights"]
    return bool(weights["colour"] or weights["perceptual"])
