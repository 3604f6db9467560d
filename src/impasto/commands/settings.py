"""A command's own values: types and ranges in one place, refused with a sentence that names the key."""

from pathlib import Path
from typing import Annotated, Any, Self

from omegaconf import DictConfig, ListConfig, OmegaConf
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, BeforeValidator(str)]  # a word that Hydra reads as a number, such as a folder 0
Folder = Annotated[Path, BeforeValidator(lambda value: Path(str(value)).expanduser())]


class Settings(BaseModel):
    """Base of the commands' settings: fields are keys of the command's configuration, by the same names."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @classmethod
    def read(cls, cfg: DictConfig) -> Self:
        """Take this command's values from its configuration; groups and what others read stay there.

        Args:
            cfg: of the command.

        Raises:
            ValueError: a value of another type or out of range; names the key, what was expected and what came.
        """
        values: dict[str, Any] = {name: cfg[name] for name in cls.model_fields}
        for name, value in values.items():
            if isinstance(value, DictConfig | ListConfig):
                values[name] = OmegaConf.to_container(value, resolve=True)
        try:
            return cls(**values)
        except ValidationError as error:
            raise ValueError(in_sentences(error)) from error


def in_sentences(error: ValidationError, *, within: str = "") -> str:
    """Word pydantic's errors: `expected size to be greater than or equal to 1, got 0`; `within` stands before keys."""
    return "; ".join(_sentence(dict(entry), within) for entry in error.errors())


def _sentence(entry: dict[str, Any], within: str) -> str:
    key = ".".join(str(part) for part in entry["loc"] if not str(part).startswith(("function-", "constrained-")))
    message = str(entry["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"expected {within}{key} to be {message}, got {entry['input']}"
