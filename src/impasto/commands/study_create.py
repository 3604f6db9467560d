"""impasto study create: methods and photographs become a blinded study."""

import logging
import shlex
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from omegaconf import DictConfig
from pydantic import BeforeValidator, Field
from torch import Tensor

from impasto.build.comparison import Source, source_of
from impasto.build.settings import Count, Folder, Natural, Settings, Text
from impasto.commands.wandb_logger import wandb_logger
from impasto.files import sha256
from impasto.hardware import check_device
from impasto.images import read_image
from impasto.listing import Found, find_images
from impasto.study.design import conditions, design_sessions, imbalance
from impasto.study.pictures import common_size, spoiled, write_blinded
from impasto.study.plan import Question, Rule, Stimulus, Study, by_photograph, image_file, new_id, write_study
from impasto.tracking.bar import Bar
from impasto.tracking.tables import log_pictures, log_table

log = logging.getLogger(__name__)


def _sources(value: object) -> object:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(
            "{<name>: <what>, ...}, where <what> is photograph, grey, a shipped network, a run folder, a network file, "
            "or a folder of results named as the photographs"
        )
    return value


class CreateSettings(Settings):
    """What `impasto study create` takes for itself, as in conf/study_create.yaml."""

    folder: Folder
    title: Text
    question: Question
    methods: Annotated[dict[Text, Text], BeforeValidator(_sources)]
    size: Annotated[int, Field(ge=16, strict=True)] | None
    raters: Count
    rounds: Count
    repeats: Natural
    catches: Natural
    break_every: Count | None
    rule: Rule
    seed: int
    device: Text


def run(cfg: DictConfig) -> None:
    """Make the pictures of every method for every photograph, lay out the sessions, write the study."""
    given = CreateSettings.read(cfg)
    check_device(given.device)
    found = find_images(cfg.images)
    paths: dict[Path, Path] = {}  # results and tables are by a photograph's name
    for path, name in found:
        if (other := paths.setdefault(name, path)) != path:
            raise ValueError(f"{other} and {path} are both called {name}; rename one, or give their folder")
    sources = {name: source_of(what, name, given.device) for name, what in given.methods.items()}
    names: dict[tuple[int, int | None], str] = defaultdict(new_id)
    sessions = design_sessions(
        photographs=len(found),
        methods=len(sources),
        pictures=given.question.pictures,
        raters=given.raters,
        rounds=given.rounds,
        repeats=given.repeats,
        catches=given.catches,
        seed=given.seed,
        name=lambda photograph, method: names[photograph, method],
    )
    shown = {picture for session in sessions for trial in session for picture in trial.pictures}
    study = Study(
        title=given.title,
        question=given.question,
        methods=tuple(sources),
        stimuli=_pictures(given, found, sources, {key: name for key, name in names.items() if name in shown}),
        sessions=sessions,
        rule=given.rule,
        break_every=given.break_every,
        seed=given.seed,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
    write_study(given.folder, study)
    _log_to_wandb(cfg, study, given.folder)
    _describe(study, len(found))
    log.info("the rule by which raters will be left out is in %s", given.folder / "study.json")
    log.info("next: impasto study serve %s", shlex.quote(str(given.folder)))


def _pictures(
    given: CreateSettings,
    found: Sequence[Found],
    sources: Mapping[str, Source],
    names: Mapping[tuple[int, int | None], str],
) -> dict[str, Stimulus]:
    """Write the pictures that any session shows, a photograph's together; none is enlarged, so none is blurred."""
    stimuli: dict[str, Stimulus] = {}
    generator = torch.Generator().manual_seed(given.seed)
    with Bar(total=len(found)) as bar:
        for number, item in enumerate(found):
            bar.update(number, item.path.name)
            photo = read_image(item.path, at_most=given.size)
            made = {name: source(item, photo) for name, source in sources.items()}
            images: list[Tensor] = list(common_size(made, photo.shape[-2:], item.path).values())
            images.append(spoiled(images[0], generator))
            own = {
                name: (method, image)
                for place, (method, image) in enumerate(zip([*sources, None], images, strict=True))
                if (name := names.get((number, None if method is None else place)))
            }
            write_blinded({image_file(given.folder, name): image for name, (_, image) in own.items()})
            for name, (method, image) in own.items():
                height, width = image.shape[-2:]
                checksum = sha256(image_file(given.folder, name))
                stimuli[name] = Stimulus(
                    photograph=str(item.name), method=method, width=width, height=height, sha256=checksum
                )
    return dict(sorted(stimuli.items()))  # by ids that tell nothing


def _log_to_wandb(cfg: DictConfig, study: Study, folder: Path) -> None:
    logger = wandb_logger(cfg)
    rows: list[dict[str, Any]] = []
    for photograph, names in by_photograph(study).items():
        shown = {image_file(folder, name): study.stimuli[name].method or "spoiled for catch trials" for name in names}
        rows += [{"picture": file, "photograph": photograph, "method": method} for file, method in shown.items()]
        log_pictures(logger, f"study/pictures/{photograph}", list(shown), list(shown.values()))
    log_table(logger, "study/samples", rows)


def _describe(study: Study, photographs: int) -> None:
    pictures = study.question.pictures
    cycle = len(conditions(len(study.methods), pictures=pictures))
    low, high = imbalance(study.sessions, cells=photographs * cycle)
    shown = f"each of {cycle} {'methods' if pictures == 1 else 'ordered pairs'} on each photograph by"
    balance = f"exactly balanced: {shown} {low} raters"
    if low != high:
        balance = f"{shown} {low} to {high} raters; raters= a multiple of {cycle} is exact"
    log.info("%d raters, %d trials each, %s", len(study.sessions), len(study.sessions[0]), balance)
