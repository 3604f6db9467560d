"""A comparison: cells that are measured one by one and saved at once, their table, and a picture of it."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import nn

from impasto.files import write_text
from impasto.hardware import describe_machine
from impasto.tables import markdown, write_csv, write_json

Figures = dict[str, Any]  # of one cell: plain numbers and texts, as JSON holds them
Row = dict[str, Any]
Cells = Mapping[str, Callable[[], Figures]]  # what is to be measured: by a name, the function that does it

Count = Annotated[int, Field(ge=1, strict=True)]
Counts = Annotated[list[Count], Field(min_length=1)]
Natural = Annotated[int, Field(ge=0, strict=True)]
Listed = BeforeValidator(lambda value: value if isinstance(value, list | None) else [value])  # one stands for a list


class Table(NamedTuple):
    """What a comparison says."""

    rows: list[Row]  # plain numbers and texts, all with the same keys; for CSV and W&B
    text: str  # the same for people, in Markdown, with what it was measured by
    bars: tuple[str, str] | None = None  # columns of a bar chart in W&B: labels and values


class Keys(BaseModel):
    """Part of a comparison's configuration: a key that is wrong is refused, and named."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, coerce_numbers_to_str=True)


class Comparison(Keys, ABC):
    """What `impasto evaluate` measures; its fields are the keys that its file in conf/experiment/ explains."""

    name: ClassVar[str]  # of its files, and of its table in W&B
    device: str

    def about(self) -> dict[str, Any]:
        """Say what the configuration does not, such as a network's checksum: cells hold only where it is the same.

        What cannot be compared is refused here (ValueError), before anything is measured.
        """
        return {}

    @abstractmethod
    def cells(self) -> Cells:
        """Return what is to be measured, in order."""

    @abstractmethod
    def table(self, figures: Mapping[str, Figures]) -> Table:
        """Make the table of all cells' figures."""

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw the figures to a PNG, or to several with longer names; return those that were written, here none."""
        return []

    def words(self, columns: Sequence[str], lines: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
        """Return a table's text: its titles and cells, then the machine, then notes."""
        machine = describe_machine()
        where = (
            machine["gpu"]
            if self.device.startswith("cuda")
            else f"{machine['processor']}, {machine['threads']} threads"
        )
        return "\n".join([markdown(columns, lines), f"{where}; torch {machine['torch']}.", *notes]) + "\n"


def run_comparison(
    comparison: Comparison,
    folder: Path,
    *,
    about: Mapping[str, Any],
    resume: bool,
    progress: Callable[[int, str], None],
) -> tuple[Table, list[Path]]:
    """Measure cell by cell, saving each; then write `<name>.json`, `.csv`, `.md` and `.png` into a folder.

    With `resume`, the cells that an earlier start has measured are kept where `about` is the same: what they depend on,
    plain data. `progress` is called with the number of cells that are done and the next one's name.
    """
    file = folder / f"{comparison.name}.json"
    shared = json.loads(json.dumps(about))
    saved = json.loads(file.read_text(encoding="utf-8")) if resume and file.is_file() else {}
    done: dict[str, Figures] = saved["cells"] if saved.get("about") == shared else {}
    result: dict[str, Any] = {"machine": describe_machine(), "about": shared, "cells": done}
    cells = comparison.cells()
    for number, (key, measure) in enumerate(cells.items()):
        progress(number, key)
        if key not in done:
            done[key] = measure()
            write_json(file, result)
    table = comparison.table(done)
    write_json(file, {**result, "rows": table.rows})
    write_csv(folder / f"{comparison.name}.csv", table.rows)
    write_text(folder / f"{comparison.name}.md", table.text)
    return table, comparison.picture(done, folder / f"{comparison.name}.png")


def fingerprint(network: nn.Module) -> str:
    """Return the SHA-256 of a network's weights."""
    content = hashlib.sha256()
    for value in network.state_dict().values():
        content.update(value.cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def means(found: Sequence[Figures], keys: Iterable[str]) -> Figures:
    """Return the means of figures by key; None where there are none, or one is unknown: it would be that of others."""
    columns = {key: [figures[key] for figures in found] for key in keys}
    return {key: fmean(values) if values and None not in values else None for key, values in columns.items()}
