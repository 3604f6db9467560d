"""A study as a folder: what is shown to whom, fixed when it is created; the answers lie beside it."""

import csv
import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impasto.files import sha256, whole_file, write_text

RATED, REPEAT, CATCH = "rated", "repeat", "catch"
_NAMED = 5  # faults that a message names
_TOKEN_BYTES = 18


@dataclass(frozen=True, kw_only=True)
class Question:
    """What raters are asked.

    Attributes:
        text: shown above the pictures.
        pictures: 1 (is it natural?) or 2 (which is better?).
        answers: labels of the two answers: no and yes to one picture, or the left and the right one of two.
    """

    text: str
    pictures: int
    answers: tuple[str, str]

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        if self.pictures not in (1, 2):
            raise ValueError(f"expected question.pictures to be 1 or 2, got {self.pictures}")
        if len(self.answers) != 2 or not all(isinstance(answer, str) and answer for answer in self.answers):
            raise ValueError(f"expected two texts as question.answers, got {self.answers}")


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
        """Refuse shares outside [0, 1], and what is no number."""
        for name in ("least_catches", "least_repeats", "least_done"):
            value = getattr(self, name)
            if name == "least_repeats" and value is None:
                continue
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"expected rule.{name} to be a share between 0 and 1, got {value}")
        if not isinstance(self.least_milliseconds, int | float) or self.least_milliseconds < 0:
            raise ValueError(f"expected rule.least_milliseconds of at least 0, got {self.least_milliseconds}")


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

    @property
    def id(self) -> int:
        """31 bits of the random names of its pictures, which no other study has."""
        return zlib.crc32("".join(sorted(self.stimuli)).encode()) >> 1


def new_id() -> str:
    """Return a name for a picture that tells nothing."""
    return secrets.token_hex(8)


def image_file(folder: Path, picture: str) -> Path:
    """Return the file of a stimulus."""
    return folder / "images" / f"{picture}.png"


def write_study(folder: Path, study: Study) -> None:
    """Write `raters.csv` with a new unguessable token a rater, then `study.json`, which makes the folder a study."""
    private = whole_file(folder / "raters.csv", private=True)
    with private as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        tokens = [(number, secrets.token_urlsafe(_TOKEN_BYTES)) for number in range(1, len(study.sessions) + 1)]
        csv.writer(file).writerows([("rater", "token"), *tokens])
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
        _check(study)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{file} is damaged: {reason}") from error
    return study


def _check(study: Study) -> None:
    """Refuse a study that contradicts itself."""
    for name, stimulus in study.stimuli.items():
        if not (name.isascii() and name.isalnum()):  # it names a file
            raise ValueError(f"'{name}' is no name of a picture")
        if stimulus.method not in (*study.methods, None):
            raise ValueError(f"picture {name} is of {stimulus.method}, which is none of the methods")
    for number, session in enumerate(study.sessions, start=1):
        for position, trial in enumerate(session):
            shown = [study.stimuli.get(picture) for picture in trial.pictures]
            spoiled = any(stimulus is not None and stimulus.method is None for stimulus in shown)
            fits = {
                RATED: not spoiled,
                REPEAT: not spoiled and isinstance(trial.of, int) and 0 <= trial.of < position,
                CATCH: spoiled and trial.expected in (0, 1),
            }
            if None in shown or len(shown) != study.question.pictures or not fits[trial.kind]:
                raise ValueError(f"trial {position + 1} of rater {number} cannot be shown")


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
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise ValueError(f"{file} is damaged: expected columns rater and token") from error


def lost_pictures(study: Study, folder: Path) -> list[str]:
    """Say which pictures are missing or are not those that the study was created with; empty where all is well."""
    return [fault for name in study.stimuli if (fault := picture_fault(study, folder, name))]


def name_some(faults: Sequence[str]) -> str:
    """Name the first of many faults and say how many more there are."""
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    return "; ".join(faults[:_NAMED]) + more


def picture_fault(study: Study, folder: Path, name: str) -> str:
    """Say whether a picture is missing or was changed; "" where it is well."""
    stimulus, file = study.stimuli[name], image_file(folder, name)
    whose = f"{stimulus.photograph}, {stimulus.method or 'spoiled for catch trials'}"
    if not file.is_file():
        return f"{file} is missing ({whose})"
    return f"{file} was changed ({whose})" if sha256(file) != stimulus.sha256 else ""
