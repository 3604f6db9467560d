"""Tables and pictures in whichever dashboard the user has chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.files import short_name

_MOST_FIGURES = 200  # of a table whose numbers stand in the run's summary, too


def log_table(
    logger: Any,  # noqa: ANN401 (what logger= builds: one of Lightning's that takes pictures and rows as well)
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    bars: tuple[str, str] | None = None,
    picture: Path | None = None,
) -> None:
    """Log rows as a table and, of few rows, their numbers; with a bar chart and a picture where they are given.

    Args:
        logger: None does nothing.
        name: of the table, "stage/name".
        rows: all with the same keys; a Path is the file of an image, which the table shows.
        bars: the columns of a bar chart: its labels and its values.
        picture: a PNG.
    """
    if logger is None or not rows:
        return
    logger.log_rows(name, rows, bars=bars)
    if picture is not None:
        log_pictures(logger, f"{name}_plot", [picture], [picture.stem])
    if len(figures := _figures(name, rows)) <= _MOST_FIGURES:
        logger.summarise(figures)


def _figures(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the numbers of a table, named by the table, the words of their row and their column."""
    labels: list[str] = []
    for kinds in ((str,), (str, int)):  # numbers as well where words do not tell the rows apart
        labels = [", ".join(str(cell) for cell in row.values() if isinstance(cell, kinds)) for row in rows]
        if len(set(labels)) == len(rows):
            break
    return {
        "/".join(part for part in (name, label, column) if part): cell
        for label, row in zip(labels, rows, strict=True)
        for column, cell in row.items()
        if isinstance(cell, int | float) and not isinstance(cell, bool)
    }


def log_pictures(logger: Any, name: str, pictures: Sequence[Path], captions: Sequence[str]) -> None:  # noqa: ANN401
    """Log PNG files, each with its caption, beside each other, where an offline run's images are; None logs nothing."""
    if logger is not None:
        logger.log_image(short_name(name), [str(file) for file in pictures], caption=list(captions))
