"""Tables and pictures in W&B."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impasto.files import short_name
from impasto.tracking.wandb_run import RunLogger

_MOST_FIGURES = 200  # of a table whose numbers stand in the run's summary, too


def log_table(
    logger: RunLogger | None,
    name: str,
    rows: Sequence[dict[str, Any]],
    *,
    bars: tuple[str, str] | None = None,
    picture: Path | None = None,
) -> None:
    """Log rows as a W&B table and, of few rows, their numbers; with a bar chart and a picture where they are given.

    Args:
        logger: None does nothing.
        name: of the table, "stage/name".
        rows: all with the same keys; a Path is the file of an image, which the table shows.
        bars: the columns of a bar chart: its labels and its values.
        picture: a PNG.
    """
    if logger is None or not rows:
        return
    import wandb

    columns: list[str | int] = list(rows[0])
    table = wandb.Table(columns=columns, data=[[_cell(row[str(column)]) for column in columns] for row in rows])
    logged: dict[str, Any] = {name: table}
    if bars is not None:
        logged[f"{name}_chart"] = wandb.plot.bar(table, *bars, title=name)
    if picture is not None:
        logged[f"{name}_plot"] = wandb.Image(str(picture))
    logger.log_metrics(logged)
    if len(figures := figures_of(name, rows)) <= _MOST_FIGURES:
        logger.summarise(figures)


def figures_of(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the numbers of a table, named by the table, the words of their row and their column.

    Args:
        name: of the table.
        rows: with the same keys.
    """
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


def _cell(value: Any) -> Any:  # noqa: ANN401 (whatever a table may hold)
    import wandb

    return wandb.Image(str(value)) if isinstance(value, Path) else value


def log_pictures(logger: RunLogger | None, name: str, pictures: Sequence[Path], captions: Sequence[str]) -> None:
    """Log image files beside each other; unlike a table's they lie where the offline run's images are.

    Args:
        logger: None does nothing.
        name: "stage/name".
        pictures: PNG files, logged as they are.
        captions: one a picture.
    """
    if logger is None:
        return
    import wandb

    told = [wandb.Image(str(file), caption=caption) for file, caption in zip(pictures, captions, strict=True)]
    logger.log_metrics({short_name(name): told})
