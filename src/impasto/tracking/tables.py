"""Tables and pictures in W&B."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger


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
        rows: all with the same keys.
        bars: the columns of a bar chart: its labels and its values.
        picture: a PNG.
    """
    if logger is None or not rows:
        return
    import wandb

    columns: list[str | int] = list(rows[0])
    table = wandb.Table(columns=columns, data=[[row[str(column)] for column in columns] for row in rows])
    logged: dict[str, Any] = {name: table}
    if bars is not None:
        logged[f"{name}_chart"] = wandb.plot.bar(table, *bars, title=name)
    if picture is not None:
        logged[f"{name}_plot"] = wandb.Image(str(picture))
    logger.experiment.log(logged)
