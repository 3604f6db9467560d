"""impasto study create: methods and photographs become a blinded study."""

import secrets
import shlex
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
from omegaconf import DictConfig
from pydantic import Field
from torch import Tensor

from impasto.build.comparison import Source, source_of
from impasto.build.settings import Count, Folder, Natural, Settings, Text
from impasto.commands import log
from impasto.files import sha256
from impasto.hardware import check_device
from impasto.images import read_image
from impasto.listing import Found, find_images
from impasto.study.design import conditions, design_sessions
from impasto.study.folder import Question, Rule, Stimulus, Study, image_file, write_study
from impasto.study.pictures import common_size, spoiled, write_blinded
from impasto.tracking.bar import Bar


class _Settings(Settings):
    folder: Folder
    title: Text
    question: Question
    methods: Annotated[dict[Text, Text], Field(min_length=1)]
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
    given = _Settings.read(cfg)
    check_device(given.device)
    found = find_images(cfg.images)
    paths: dict[Path, Path] = {}  # results and tables are by a photograph's name
    for path, name in found:
        if (other := paths.setdefault(name, path)) != path:
            raise ValueError(f"{other} and {path} are both called {name}; rename one, or give their folder")
    sources = {name: source_of(what, name, given.device) for name, what in given.methods.items()}
    names: dict[tuple[int, int | None], str] = defaultdict(lambda: secrets.token_hex(8))
    sessions = design_sessions(
        photographs=len(found),
        methods=len(sources),
        pictures=given.question.pictures,
        name=lambda photograph, method: names[photograph, method],
        **given.model_dump(include={"raters", "rounds", "repeats", "catches", "seed"}),
    )
    shown = {picture for session in sessions for trial in session for picture in trial.pictures}
    study = Study(
        methods=tuple(sources),
        stimuli=_pictures(given, found, sources, {key: name for key, name in names.items() if name in shown}),
        sessions=sessions,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **given.model_dump(include={"title", "question", "rule", "break_every", "seed"}),
    )
    write_study(given.folder, study)
    cycle = len(conditions(len(sources), pictures=given.question.pictures))
    kind = "methods" if given.question.pictures == 1 else "ordered pairs"
    balance = f"a whole number of cycles of the {cycle} {kind}, exactly balanced"
    if given.raters % cycle:
        balance = f"the last cycle of the {cycle} {kind} is not whole; raters= a multiple of {cycle} is exact"
    log.info("%d raters, %d trials each: %s", given.raters, len(sessions[0]), balance)
    log.info("the rule by which raters will be left out is in %s", given.folder / "study.json")
    log.info("next: impasto study serve %s", shlex.quote(str(given.folder)))


def _pictures(
    given: _Settings,
    found: Sequence[Found],
    sources: Mapping[str, Source],
    names: Mapping[tuple[int, int | None], str],
) -> dict[str, Stimulus]:
    """Write the pictures that are named, a photograph's together; none is enlarged, so none is blurred."""
    stimuli: dict[str, Stimulus] = {}
    generator = torch.Generator().manual_seed(given.seed)
    with Bar(total=len(found)) as bar:
        for number, item in enumerate(found):
            bar.update(number, item.path.name)
            photo = read_image(item.path, at_most=given.size)
            made = common_size({n: source(item, photo) for n, source in sources.items()}, photo.shape[-2:], item.path)
            places: dict[int | None, tuple[str | None, Tensor]] = dict(enumerate(made.items()))
            places[None] = None, spoiled(next(iter(made.values())), generator)
            own = {names[number, p]: picture for p, picture in places.items() if (number, p) in names}
            write_blinded({image_file(given.folder, name): image for name, (_, image) in own.items()})
            for name, (method, image) in own.items():
                height, width = image.shape[-2:]
                checksum = sha256(image_file(given.folder, name))
                stimuli[name] = Stimulus(
                    photograph=str(item.name), method=method, width=width, height=height, sha256=checksum
                )
    return dict(sorted(stimuli.items()))  # by ids that tell nothing
