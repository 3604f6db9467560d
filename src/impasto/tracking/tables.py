"""Tables and pictures in W&B."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from impasto.files import short_name


def log_table(
    logger: WandbLogger | None,
    name: str,
    rows: Sequence[dict[str, Any]],
    *,
    bars: tuple[str, str] | None = None,
    picture: Path | None = None,
) -> None:
    """Log rows as a W&B table, with a bar chart and a picture where they are given.

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
    logger.experiment.log(logged)


def _cell(value: Any) -> Any:  # noqa: ANN401 (whatever a table may hold)
    import wandb

    return wandb.Image(str(value)) if isinstance(value, Path) else value


def log_pictures(logger: WandbLogger | None, name: str, pictures: Sequence[Path], captions: Sequence[str]) -> None:
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
    logger.experiment.log({short_name(name): told})
