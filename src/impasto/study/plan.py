"""A study as a folder: what is shown to whom, fixed when it is created; the answers lie beside it."""

import csv
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impasto.files import sha256, whole_file, write_text

RATED, REPEAT, CATCH = "rated", "repeat", "catch"
_TOKEN_BYTES = 18


@dataclass(frozen=True, kw_only=True)
class Question:
    """What raters are asked.

    Attributes:
        text: shown above the pictures.
        pictures: 1 (is it natural?) or 2 (which is better?).
        answers: labels of the two answers; of two pictures, for the left and for the right one.
    """

    text: str
    pictures: int
    answers: tuple[str, str]

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        if self.pictures not in (1, 2):
            raise ValueError(f"expected question.pictures to be 1 or 2, got {self.pictures}")
        if len(self.answers) != 2:
            raise ValueError(f"expected two question.answers, got {len(self.answers)}")


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """A picture that is shown.

    Attributes:
        photograph: its name.
        method: None where the picture was spoiled for catch trials.
        width: pixels.
        height: pixels.
        sha256: of the PNG file.
    """

    photograph: str
    method: str | None
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One question to one rater.

    Attributes:
        kind: RATED, REPEAT (of an earlier one, of two pictures with sides changed) or CATCH (whose answer is known).
        pictures: the ids of the stimuli, left to right.
        of: position of the trial that is repeated.
        expected: the answer to a catch trial.
    """

    kind: str
    pictures: tuple[str, ...]
    of: int | None = None
    expected: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which raters are left out of the analysis; fixed when the study is created.

    Attributes:
        least_catches: share of the catch trials met that must be answered as expected.
        least_repeats: share of the repeats met that must be answered as the first time; None does not ask.
        least_milliseconds: the median time of an answer must not be below.
        least_done: share of the session that must be answered.
    """

    least_catches: float
    least_repeats: float | None
    least_milliseconds: float
    least_done: float

    def __post_init__(self) -> None:
        """Refuse shares outside [0, 1]."""
        for name in ("least_catches", "least_repeats", "least_done"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"expected rule.{name} to be a share between 0 and 1, got {value}")


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that was fixed beforehand.

    Attributes:
        title: shown to raters.
        question: what they are asked.
        methods: their names, which raters never see.
        stimuli: by id, which is also the name of the file: `images/<id>.png`.
        sessions: a rater's trials in their order; rater 1 has the first.
        rule: who is left out.
        break_every: trials after which a pause is offered; None offers none.
        seed: of the design.
        created: date and time.
    """

    title: str
    question: Question
    methods: tuple[str, ...]
    stimuli: Mapping[str, Stimulus]
    sessions: Sequence[Sequence[Trial]]
    rule: Rule
    break_every: int | None
    seed: int
    created: str


def new_id() -> str:
    """Return a name for a picture that tells nothing."""
    return secrets.token_hex(8)


def image_file(folder: Path, picture: str) -> Path:
    """Return the file of a stimulus."""
    return folder / "images" / f"{picture}.png"


def write_study(folder: Path, study: Study) -> None:
    """Write `raters.csv` with a new unguessable token a rater, then `study.json`, which makes the folder a study."""
    with whole_file(folder / "raters.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        tokens = [(number, secrets.token_urlsafe(_TOKEN_BYTES)) for number in range(1, len(study.sessions) + 1)]
        csv.writer(file).writerows([("rater", "token"), *tokens])
    (folder / "raters.csv").chmod(0o600)
    write_text(folder / "study.json", json.dumps(asdict(study), indent=1, ensure_ascii=False) + "\n")


def read_study(folder: Path) -> Study:
    """Read what `write_study` wrote.

    Raises:
        FileNotFoundError: no study there.
        ValueError: `study.json` is damaged or contradicts itself.
    """
    file = folder / "study.json"
    if not file.is_file():
        raise FileNotFoundError(f"no study in {folder}: expected the run folder of an 'impasto study create'")
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        question = told["question"] | {"answers": tuple(told["question"]["answers"])}
        study = Study(
            title=str(told["title"]),
            question=Question(**question),
            methods=tuple(told["methods"]),
            stimuli={str(name): Stimulus(**stimulus) for name, stimulus in told["stimuli"].items()},
            sessions=[
                [Trial(**(trial | {"pictures": tuple(trial["pictures"])})) for trial in session]
                for session in told["sessions"]
            ],
            rule=Rule(**told["rule"]),
            break_every=told["break_every"],
            seed=told["seed"],
            created=told["created"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{file} is damaged: {type(error).__name__}: {error}") from error
    _check(study, file)
    return study


def _check(study: Study, file: Path) -> None:
    for session in study.sessions:
        for trial in session:
            unknown = [picture for picture in trial.pictures if picture not in study.stimuli]
            if unknown or len(trial.pictures) != study.question.pictures:
                raise ValueError(f"{file} is damaged: a trial shows {list(trial.pictures)}, which the study has not")
    for name in study.stimuli:
        if not (name.isascii() and name.isalnum()):  # it names a file
            raise ValueError(f"{file} is damaged: '{name}' is no name of a picture")


def by_photograph(study: Study) -> dict[str, list[str]]:
    """Return the ids of each photograph's pictures, in the methods' order, the spoiled one last."""
    order = {name: place for place, name in enumerate(study.methods)}
    names = sorted(study.stimuli, key=lambda name: order.get(str(study.stimuli[name].method), len(order)))
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(study.stimuli[name].photograph, []).append(name)
    return dict(sorted(grouped.items()))


def read_tokens(folder: Path) -> dict[str, int]:
    """Return the raters' numbers, from 1, by their tokens.

    Raises:
        FileNotFoundError: no `raters.csv`.
        ValueError: it is damaged.
    """
    file = folder / "raters.csv"
    if not file.is_file():
        raise FileNotFoundError(f"no {file}: without it the links of the raters are lost")
    with file.open(newline="", encoding="utf-8") as lines:
        try:
            return {row["token"]: int(row["rater"]) for row in csv.DictReader(lines)}
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{file} is damaged: expected columns rater and token") from error


def lost_pictures(study: Study, folder: Path) -> list[str]:
    """Say which pictures are missing or are not those that the study was created with; empty where all is well."""
    lost = []
    for name, stimulus in study.stimuli.items():
        file = image_file(folder, name)
        whose = f"{stimulus.photograph}, {stimulus.method or 'spoiled for catch trials'}"
        if not file.is_file():
            lost.append(f"{file} is missing ({whose})")
        elif sha256(file) != stimulus.sha256:
            lost.append(f"{file} was changed ({whose})")
    return lost
