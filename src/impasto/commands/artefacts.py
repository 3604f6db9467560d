"""What methods leave on pictures: grids, borders, spots, unsteadiness; and how far they go from the photograph."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from impasto.commands.study_sources import Source, source_of
from impasto.commands.wandb_logger import wandb_logger
from impasto.evaluation.artefacts import border_ratio, repeated_share, shift_response, spot_share
from impasto.evaluation.lpips import LPIPS
from impasto.files import write_text
from impasto.hardware import check_device
from impasto.images import read_image, sheet, write_image
from impasto.listing import Found, find_images
from impasto.runs import shipped
from impasto.tables import digits, markdown, write_csv, write_json
from impasto.tracking.tables import log_table

log = logging.getLogger(__name__)

_SHOWN = 4  # photographs on the sheet
Row = dict[str, Any]


def evaluate_artefacts(
    cfg: DictConfig,
    *,
    methods: Mapping[str, str] | None,
    photographs: Sequence[str],
    size: int,
    periods: Sequence[int],
    shifts: Sequence[int],
    lpips: str | None,
) -> None:
    """Measure each method on each photograph; write `artefacts.json`, `.csv`, `.md` and `sheet.png`.

    Args:
        cfg: the whole configuration.
        methods: by name: `photograph`, a shipped network, a run folder, or a folder of results, which has no response
            to a shift; None takes all shipped styles.
        photographs: files, folders or patterns.
        size: their longer side in pixels at most.
        periods: of the grids that are looked for, in pixels.
        shifts: of the photograph, in pixels.
        lpips: the file of its weights; None leaves LPIPS out.

    Raises:
        ValueError: a number out of range, or a method that is none.
        FileNotFoundError: no such photograph, method or weights.
    """
    check_device(cfg.device)
    for name, values in {"size": [size], "periods": periods, "shifts": shifts}.items():
        if not all(isinstance(value, int) and value >= 1 for value in values):
            raise ValueError(f"expected evaluation.{name} to be of whole numbers of at least 1, got {values}")
    named = {"photograph": "photograph"} | dict(methods or {name: name for name in shipped("stylizer")})
    sources = {name: source_of(str(text), name, cfg.device) for name, text in named.items()}
    metric = None if lpips is None else LPIPS(Path(str(lpips)))
    rows: list[Row] = []
    pictures: list[list[Tensor]] = []
    listed = instantiate(photographs) if isinstance(photographs, DictConfig) else photographs
    for item in find_images([str(pattern) for pattern in listed]):
        photo = read_image(item.path, at_most=size)
        log.info("%s ...", item.path.name)
        results = {method: source(item, photo) for method, source in sources.items()}
        for method, result in results.items():
            moving = method != "photograph" and not _is_results(named[method])
            network = partial(_network, sources[method], item) if moving else None
            row = _measure(result, photo, network, periods=periods, shifts=shifts, metric=metric)
            rows.append({"method": method, "photograph": str(item.name), **row})
        if len(pictures) < _SHOWN:
            pictures.append(list(results.values()))
    folder = Path(cfg.folder)
    write_image(folder / "sheet.png", sheet(pictures))
    _report(cfg, rows, [_mean(rows, method) for method in named])


def _is_results(text: str) -> bool:
    folder = Path(str(text)).expanduser()
    return folder.is_dir() and not (folder / "network.safetensors").is_file()


def _network(source: Source, found: Found, images: Tensor) -> Tensor:
    return source(found, images[0])[None]


def _measure(
    result: Tensor,
    photo: Tensor,
    network: Any,  # noqa: ANN401 (a partial function, or None)
    *,
    periods: Sequence[int],
    shifts: Sequence[int],
    metric: LPIPS | None,
) -> Row:
    row: Row = {f"repeated {period} px": repeated_share(result, period) for period in periods}
    row |= {"border": border_ratio(result, photo), "spots": spot_share(result, photo)}
    for shift in shifts:
        row[f"shift {shift} px"] = None if network is None else shift_response(network, photo, shift)
    if metric is not None:
        row["LPIPS"] = float(metric(result[None], photo[None]))
    return row


def _mean(rows: Sequence[Row], method: str) -> Row:
    own = [row for row in rows if row["method"] == method]
    keys = [key for key in own[0] if key not in ("method", "photograph")]
    told = {key: [row[key] for row in own if row[key] is not None] for key in keys}
    return {"method": method, **{key: fmean(values) if values else None for key, values in told.items()}}


def _report(cfg: DictConfig, rows: list[Row], means: list[Row]) -> None:
    folder = Path(cfg.folder)
    write_json(folder / "artefacts.json", {"photographs": rows, "means": means})
    write_csv(folder / "artefacts.csv", rows)
    columns = [key for key in means[0] if key != "method"]
    told = {key: "%" for key in columns if key.startswith("repeated") or key == "spots"}
    told |= {key: "levels" for key in columns if key.startswith("shift")}
    heads = ["method", *(f"{key}, {told[key]}" if key in told else key for key in columns)]
    cells = [[row["method"], *(_cell(row[key], told.get(key)) for key in columns)] for row in means]
    text = markdown(heads, cells) + f"\nMeans over {len(rows) // len(means)} photographs.\n"
    write_text(folder / "artefacts.md", text)
    logger = wandb_logger(cfg, run_id=cfg.run_id, name=f"{cfg.name}_{cfg.run_id}")
    log_table(logger, "evaluate/artefacts", means, picture=folder / "sheet.png")
    log.info("%s", text)


def _cell(value: float | None, unit: str | None) -> str:
    return digits(None if value is None else 100 * value if unit == "%" else value)
