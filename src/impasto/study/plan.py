"""A study as a folder: what is shown to whom, fixed when it is created; the answers lie beside it."""

import csv
import secrets
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.files import sha256, whole_file, write_text

Kind = Literal["rated", "repeat", "catch"]  # a repeat of two pictures has its sides changed
RATED: Final = "rated"
REPEAT: Final = "repeat"
CATCH: Final = "catch"
_NAMED = 5  # faults that a message names
_TOKEN_BYTES = 18

Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(_Data):
    """What raters are asked."""

    text: str  # shown above the pictures
    pictures: Literal[1, 2]  # is it natural?, or which is better?
    answers: tuple[Text, Text]  # labels: no and yes to one picture, or the left and the right one of two


class Rule(_Data):
    """Which raters are left out of the analysis; fixed when the study is created."""

    least_catches: Share  # of the catch trials met, answered as expected
    least_repeats: Share | None  # of the repeats met, answered as the first time; None does not ask
    least_milliseconds: Milliseconds  # median of an answer
    least_done: Share  # of the session


class Stimulus(_Data):
    """A picture that is shown."""

    photograph: str  # its name
    method: str | None  # None where the picture was spoiled for catch trials
    width: int  # pixels
    height: int
    sha256: str  # of the PNG file


class Trial(_Data):
    """One question to one rater."""

    kind: Kind
    pictures: tuple[str, ...]  # ids of the stimuli, left to right
    of: int | None = None  # position of the trial that is repeated
    expected: Literal[0, 1] | None = None  # the answer to a catch trial


class Study(_Data):
    """Everything that was fixed beforehand."""

    title: str  # shown to raters
    question: Question
    methods: tuple[str, ...]  # their names, which raters never see
    stimuli: Mapping[Annotated[str, Field(pattern="^[0-9A-Za-z]+$")], Stimulus]  # by id, which names the file
    sessions: Sequence[Sequence[Trial]]  # a rater's trials in their order; rater 1 has the first
    rule: Rule
    break_every: Annotated[int, Field(ge=1)] | None  # trials after which a pause is offered
    seed: int  # of the design
    created: str  # date and time

    @property
    def id(self) -> int:
        """31 bits of the random names of its pictures, which no other study has."""
        return zlib.crc32("".join(sorted(self.stimuli)).encode()) >> 1

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for name, stimulus in self.stimuli.items():
            if stimulus.method not in (*self.methods, None):
                raise ValueError(f"picture {name} is of {stimulus.method}, which is none of the methods")
        for number, session in enumerate(self.sessions, start=1):
            for position, trial in enumerate(session):
                if not self._can_be_shown(trial, position):
                    raise ValueError(f"trial {position + 1} of rater {number} cannot be shown")
        return self

    def _can_be_shown(self, trial: Trial, position: int) -> bool:
        shown = [self.stimuli.get(picture) for picture in trial.pictures]
        spoiled = any(stimulus is not None and stimulus.method is None for stimulus in shown)
        fits = {
            RATED: not spoiled,
            REPEAT: not spoiled and trial.of is not None and 0 <= trial.of < position,
            CATCH: spoiled and trial.expected is not None,
        }
        return (
            None not in shown
            and len(shown) == self.question.pictures
            and (trial.of is None) == (trial.kind != REPEAT)
            and fits[trial.kind]
        )


def new_id() -> str:
    """Return a name for a picture that tells nothing."""
    return secrets.token_hex(8)


def image_file(folder: Path, picture: str) -> Path:
    """Return the file of a stimulus."""
    return folder / "images" / f"{picture}.png"


def write_study(folder: Path, study: Study) -> None:
    """Write `raters.csv` with a new unguessable token a rater, then `study.json`, which makes the folder a study."""
    tokens = [(number, secrets.token_urlsafe(_TOKEN_BYTES)) for number in range(1, len(study.sessions) + 1)]
    write_private(folder / "raters.csv", [("rater", "token"), *tokens])
    write_text(folder / "study.json", study.model_dump_json(indent=1) + "\n")


def write_private(file: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV file that its owner alone can read."""
    with whole_file(file, private=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows(rows)


def read_study(folder: Path) -> Study:
    """Read what `write_study` wrote; ValueError where it is damaged or contradicts itself."""
    file = folder / "study.json"
    if not file.is_file():
        raise FileNotFoundError(f"no study in {folder}: expected the run folder of an 'impasto study create'")
    try:
        return Study.model_validate_json(file.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where, what = ".".join(map(str, fault["loc"])) or "the whole", fault["msg"].removeprefix("Value error, ")
        raise ValueError(f"{file} is damaged: {where}: {' '.join(what.split())}") from error


def read_tokens(folder: Path) -> dict[str, int]:
    """Return the raters' numbers, from 1, by their tokens; ValueError where `raters.csv` is damaged."""
    file = folder / "raters.csv"
    if not file.is_file():
        raise FileNotFoundError(f"no {file}: without it the links of the raters are lost")
    with file.open(newline="", encoding="utf-8") as lines:
        try:
            return {row["token"]: int(row["rater"]) for row in csv.DictReader(lines)}
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise ValueError(f"{file} is damaged: expected columns rater and token") from error


def by_photograph(study: Study) -> dict[str, list[str]]:
    """Return the ids of each photograph's pictures, in the methods' order, the spoiled one last."""
    order = [*study.methods, None]
    found: dict[str, list[str]] = {}
    for name, stimulus in sorted(study.stimuli.items(), key=lambda i: (i[1].photograph, order.index(i[1].method))):
        found.setdefault(stimulus.photograph, []).append(name)
    return found


def lost_pictures(study: Study, folder: Path) -> dict[str, str]:
    """Say by id which pictures are missing or are not those that the study was created with."""
    lost: dict[str, str] = {}
    for name, stimulus in study.stimuli.items():
        file, whose = image_file(folder, name), f"{stimulus.photograph}, {stimulus.method or 'spoiled'}"
        if not file.is_file():
            lost[name] = f"{file} is missing ({whose})"
        elif sha256(file) != stimulus.sha256:
            lost[name] = f"{file} was changed ({whose})"
    return lost


def name_some(lost: Mapping[str, str]) -> str:
    """Say what is lost of the first of many pictures, and how many more there are."""
    more = f"; and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    return "; ".join(list(lost.values())[:_NAMED]) + more
