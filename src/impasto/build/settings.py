"""A command's own values: types and ranges in one place, refused with a sentence that names the key."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=1, strict=True)]
Natural = Annotated[int, Field(ge=0, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, BeforeValidator(str)]  # a word that Hydra reads as a number, such as a folder 0
Texts = Annotated[list[Text], BeforeValidator(lambda value: value if isinstance(value, list) else [value])]
Tile = Annotated[Literal["auto"] | int | None, BeforeValidator(lambda value: _checked_tile(value))]
Folder = Annotated[Path, BeforeValidator(lambda value: Path(str(value)).expanduser())]


class Settings(BaseModel):
    """Base of the commands' settings: fields are keys of the command's configuration, by the same names."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @classmethod
    def read(cls, cfg: DictConfig) -> Self:
        """Take this command's values from its configuration; groups and what others read stay there.

        Raises:
            ValueError: a value of another type or out of range; names the key, what was expected and what came.
        """
        values = {name: plain(cfg[name]) for name in cls.model_fields}
        try:
            return cls(**values)
        except ValidationError as error:
            raise ValueError(in_sentences(error)) from error


def _checked_tile(value: object) -> object:
    if value in ("auto", None) or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError("a number of pixels from 1, auto or null")


def plain(node: Any) -> Any:  # noqa: ANN401 (any node)
    """Return a node of a configuration resolved, as dict, list or plain value."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def in_sentences(error: ValidationError, *, within: str = "") -> str:
    """Word pydantic's errors: `expected size to be greater than or equal to 1, got 0`; `within` stands before keys."""
    sentences = []
    for entry in error.errors():
        key = ".".join(str(part) for part in entry["loc"] if not str(part).startswith(("function-", "constrained-")))
        message = entry["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        sentences.append(f"expected {within}{key} to be {message}, got {entry['input']}")
    return "; ".join(sentences)
