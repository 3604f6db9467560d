"""Tables in W&B, and pictures in whichever dashboard the user has chosen; without one, nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.files import short_name


def log_table(
    logger: Any,  # noqa: ANN401 (what logger= builds: one of Lightning's that takes pictures and rows as well)
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    bars: tuple[str, str] | None = None,
    picture: Path | None = None,
) -> None:
    """Log rows as a table, with a bar chart (the columns of its labels and values) and a PNG where they are given.

    All rows have the same keys; a Path is the file of an image, which the table shows. `name` is "stage/name".
    """
    if logger is not None and rows:
        if hasattr(logger, "log_rows"):
            logger.log_rows(name, rows, bars=bars)
        if picture is not None:
            log_pictures(logger, f"{name}_plot", [picture], [picture.stem])


def log_pictures(logger: Any, name: str, pictures: Sequence[Path], captions: Sequence[str]) -> None:  # noqa: ANN401
    """Log PNG files, each with its caption, beside each other, where an offline run's images are."""
    if logger is not None:
        logger.log_image(short_name(name), [str(file) for file in pictures], caption=list(captions))
