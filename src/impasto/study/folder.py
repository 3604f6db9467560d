"""A study as a folder: what is shown to whom, fixed when it is created; the answers lie beside it."""

import csv
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.files import sha256, whole_file, write_text

Kind = Literal["rated", "repeat", "catch"]  # a repeat of two pictures has its sides changed
RATED: Final = "rated"
REPEAT: Final = "repeat"
CATCH: Final = "catch"
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

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        shown = {picture for session in self.sessions for trial in session for picture in trial.pictures}
        methods = {stimulus.method for stimulus in self.stimuli.values()}
        if unknown := (shown - self.stimuli.keys()) | (methods - {*self.methods, None}):
            raise ValueError(f"{', '.join(map(str, unknown))}: neither a picture nor a method of the study")
        return self


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
        fault = error.errors()[0]
        where, what = ".".join(map(str, fault["loc"])) or "the whole", fault["msg"].removeprefix("Value error, ")
        raise ValueError(f"{file} is damaged: {where}: {what}") from error


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


def lost_pictures(study: Study, folder: Path) -> list[Path]:
    """Return the files of pictures that are missing or are not those that the study was created with."""
    checksums = {image_file(folder, name): stimulus.sha256 for name, stimulus in study.stimuli.items()}
    return [file for file, checksum in checksums.items() if not file.is_file() or sha256(file) != checksum]
