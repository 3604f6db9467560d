"""Pictures of several methods over the same photographs, measured: the loop and the report that evaluations share."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from omegaconf import DictConfig
from torch import Tensor

from impasto.commands.study_sources import is_results, source_of
from impasto.commands.wandb_logger import wandb_logger
from impasto.data import sample_paths
from impasto.files import write_text
from impasto.hardware import check_device
from impasto.images import read_image, sheet, write_image
from impasto.listing import find_images
from impasto.tables import digits, markdown, write_csv, write_json
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)

_SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
_SHOWN = 4  # photographs on the sheet


class Picture(NamedTuple):
    """What a method made of a photograph.

    Attributes:
        image: RGB in [0, 1], (3, H, W).
        photograph: likewise.
        network: from photographs to pictures, (1, 3, H, W) both; None where the pictures are files.
    """

    image: Tensor
    photograph: Tensor
    network: Callable[[Tensor], Tensor] | None


Figures = dict[str, float | None]  # by name; "%" in the name multiplies by a hundred


def evaluate_pictures(
    cfg: DictConfig,
    measure: Callable[[Picture], Figures],
    *,
    name: str,
    methods: Mapping[str, str],
    photographs: Sequence[str] | None,
    size: int,
) -> None:
    """Measure each method on each photograph; write `<name>.json`, `.csv`, `.md` and `sheet.png`, and the same to W&B.

    Args:
        cfg: the whole configuration.
        measure: from a picture to figures, the same for all.
        name: of the evaluation.
        methods: by name: `photograph`, a shipped network, a run folder, or a folder of results.
        photographs: files, folders or patterns; None takes scikit-image's samples.
        size: their longer side in pixels at most.

    Raises:
        ValueError: a size below 1, or a method that is none.
        FileNotFoundError: no such photograph or method.
    """
    check_device(cfg.device)
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"expected evaluation.size of at least 1, got {size}")
    sources = {method: source_of(str(text), method, cfg.device) for method, text in methods.items()}
    still = {
        method for method, text in methods.items() if text == "photograph" or is_results(Path(str(text)).expanduser())
    }
    rows: list[dict[str, Any]] = []
    pictures: list[list[Tensor]] = []
    for item in find_images([str(pattern) for pattern in photographs or sample_paths(_SAMPLES)]):
        photo = read_image(item.path, at_most=size)
        log.info("%s ...", item.path.name)
        made = []
        for method, source in sources.items():

            def network(images: Tensor, source: Any = source, item: Any = item) -> Tensor:  # noqa: ANN401
                painted: Tensor = source(item, images[0])[None]
                return painted

            made.append(source(item, photo))
            figures = measure(Picture(made[-1], photo, None if method in still else network))
            rows.append({"method": method, "photograph": str(item.name), **figures})
        if len(pictures) < _SHOWN:
            pictures.append(made)
    write_image(Path(cfg.folder) / "sheet.png", sheet(pictures))
    _report(cfg, name, rows, [_mean(rows, method) for method in methods])


def _mean(rows: Sequence[Mapping[str, Any]], method: str) -> dict[str, Any]:
    own = [row for row in rows if row["method"] == method]
    keys = [key for key in own[0] if key not in ("method", "photograph")]
    told = {key: [row[key] for row in own if row[key] is not None] for key in keys}
    return {"method": method, **{key: fmean(values) if values else None for key, values in told.items()}}


def _report(cfg: DictConfig, name: str, rows: list[dict[str, Any]], means: list[dict[str, Any]]) -> None:
    folder = Path(cfg.folder)
    write_json(folder / f"{name}.json", {"photographs": rows, "means": means})
    write_csv(folder / f"{name}.csv", rows)
    columns = [key for key in means[0] if key != "method"]
    cells = [[row["method"], *(_cell(row[key], percent="%" in key) for key in columns)] for row in means]
    text = markdown(["method", *columns], cells) + f"\nMeans over {len(rows) // len(means)} photographs.\n"
    write_text(folder / f"{name}.md", text)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, f"evaluate/{name}", means, picture=folder / "sheet.png")
    log.info("%s", text)


def _cell(value: float | None, *, percent: bool) -> str:
    return digits(None if value is None else 100 * value if percent else value)
