"""impasto study create: methods and photographs become a blinded study."""

import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from impasto.commands.study_sources import Source, common_size, source_of
from impasto.commands.wandb_logger import wandb_logger
from impasto.files import sha256
from impasto.hardware import check_device
from impasto.images import read_image
from impasto.listing import Found, find_images
from impasto.study.design import Slot, conditions, design_sessions, imbalance
from impasto.study.pictures import spoiled, write_blinded
from impasto.study.plan import (
    CATCH,
    Question,
    Rule,
    Stimulus,
    Study,
    Trial,
    by_photograph,
    image_file,
    new_id,
    write_study,
)
from impasto.tracking.bar import Bar
from impasto.tracking.tables import log_pictures, log_table

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 30.0
_LEAST_SIZE = 16  # pixels, of the longer side
_Pictures = dict[tuple[int, int | None], str]  # by photograph and method (None: spoiled), the id


def run(cfg: DictConfig) -> None:
    """Make the pictures of every method for every photograph, lay out the sessions, write the study.

    Raises:
        ValueError: a method that is none, results that do not fit their photograph, or a design that does not work out.
        FileNotFoundError: a photograph, a network or a result that is not there.
    """
    check_device(cfg.device)
    question: Question = instantiate(cfg.question)
    rule: Rule = instantiate(cfg.rule)
    _check_numbers(cfg)
    found = find_images(cfg.images)
    _refuse_same_names(found)
    sources = _sources(cfg)
    layout = {"photographs": len(found), "methods": len(sources), "pictures": question.pictures}
    slots = design_sessions(
        **layout, raters=cfg.raters, rounds=cfg.rounds, repeats=cfg.repeats, catches=cfg.catches, seed=cfg.seed
    )
    shown = {(slot.photograph, method) for session in slots for slot in session for method in slot.methods}
    stimuli, names = _pictures(cfg, found, sources, shown)
    study = Study(
        title=str(cfg.title),
        question=question,
        methods=tuple(sources),
        stimuli=stimuli,
        sessions=[[_trial(slot, names) for slot in session] for session in slots],
        rule=rule,
        break_every=cfg.break_every,
        seed=cfg.seed,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
    folder = Path(cfg.folder)
    write_study(folder, study)
    _log_to_wandb(cfg, study, folder)
    _tell(study, slots, layout, folder)


def _check_numbers(cfg: DictConfig) -> None:
    if cfg.seed is None:
        raise ValueError("a study is laid out from its seed; expected seed=<a whole number>, got null")
    for name, least in (("size", _LEAST_SIZE), ("break_every", 1)):
        if cfg[name] is not None and not (isinstance(cfg[name], int) and cfg[name] >= least):
            raise ValueError(f"expected {name} to be a whole number of at least {least}, or null, got {cfg[name]}")


def _refuse_same_names(found: Sequence[Found]) -> None:
    """Results and tables are by a photograph's name."""
    paths: dict[Path, Path] = {}
    for path, name in found:
        if name in paths:
            raise ValueError(f"{paths[name]} and {path} are both called {name}; rename one, or give their folder")
        paths[name] = path


def _sources(cfg: DictConfig) -> dict[str, Source]:
    is_mapping = OmegaConf.is_dict(cfg.methods)
    told: Any = OmegaConf.to_container(cfg.methods, resolve=True, throw_on_missing=True) if is_mapping else None
    if not isinstance(told, Mapping) or not told:
        raise ValueError(
            "which methods? expected methods={<name>: <what>, ...}, where <what> is photograph, grey, a shipped "
            "network, a run folder, a network file, or a folder of results named as the photographs"
        )
    return {str(name): source_of(str(what), str(name), cfg.device) for name, what in told.items()}


def _pictures(
    cfg: DictConfig, found: Sequence[Found], sources: Mapping[str, Source], shown: set[tuple[int, int | None]]
) -> tuple[dict[str, Stimulus], _Pictures]:
    """Write the pictures that any session shows, a photograph's together; their names tell nothing."""
    stimuli: dict[str, Stimulus] = {}
    names: _Pictures = {}
    generator = torch.Generator().manual_seed(cfg.seed)
    with Bar(total=len(found), done=0, log_every_seconds=_LOG_EVERY_SECONDS) as bar:
        for number, item in enumerate(found):
            bar.update(number, item.path.name)
            made = _of_photograph(item, sources, cfg.size)
            wanted: dict[int | None, Tensor] = dict(enumerate(made.values()))
            wanted[None] = spoiled(next(iter(made.values())), generator)
            own = {method: new_id() for method in wanted if (number, method) in shown}
            write_blinded({image_file(Path(cfg.folder), name): wanted[method] for method, name in own.items()})
            for method, name in own.items():
                names[number, method] = name
                stimuli[name] = Stimulus(
                    photograph=str(item.name),
                    method=None if method is None else list(sources)[method],
                    width=wanted[method].shape[2],
                    height=wanted[method].shape[1],
                    sha256=sha256(image_file(Path(cfg.folder), name)),
                )
    return dict(sorted(stimuli.items())), names  # sorted by ids that tell nothing


def _of_photograph(item: Found, sources: Mapping[str, Source], size: int | None) -> dict[str, Tensor]:
    """Return what each method makes of a photograph, all of one size: no picture is enlarged, so none is blurred."""
    photo = read_image(item.path, at_most=size)
    return common_size({name: source(item, photo) for name, source in sources.items()}, photo.shape[-2:], item.path)


def _trial(slot: Slot, names: _Pictures) -> Trial:
    pictures = tuple(names[slot.photograph, method] for method in slot.methods)
    return Trial(kind=slot.kind, pictures=pictures, of=slot.of, expected=slot.expected)


def _log_to_wandb(cfg: DictConfig, study: Study, folder: Path) -> None:
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    rows: list[dict[str, Any]] = []
    for photograph, names in by_photograph(study).items():
        files = [image_file(folder, name) for name in names]
        methods = [study.stimuli[name].method or "spoiled for catch trials" for name in names]
        told = zip(files, methods, strict=True)
        rows += [{"picture": file, "photograph": photograph, "method": method} for file, method in told]
        log_pictures(logger, f"study/pictures/{photograph}", files, methods)
    log_table(logger, "study/samples", rows)


def _tell(study: Study, slots: Sequence[Sequence[Slot]], layout: Mapping[str, int], folder: Path) -> None:
    cycle = len(conditions(layout["methods"], pictures=layout["pictures"]))
    low, high = imbalance(slots, **layout)
    kinds = "methods" if layout["pictures"] == 1 else "ordered pairs"
    exact = f"exactly balanced: each of {cycle} {kinds} on each photograph by {low} raters"
    uneven = (
        f"each of {cycle} {kinds} on each photograph by {low} to {high} raters; raters= a multiple of {cycle} is exact"
    )
    told = (len(study.sessions), len(study.sessions[0]), exact if low == high else uneven)
    log.info("%d raters, %d trials each, %s", *told)
    if any(trial.kind == CATCH for session in study.sessions for trial in session):
        log.info("the rule by which raters will be left out is in %s", folder / "study.json")
    log.info("next: impasto study serve %s", shlex.quote(str(folder)))
