"""impasto optimize: Gatys' optimisation of one image after the other."""

import logging
import shlex
from collections import Counter
from functools import partial

from omegaconf import DictConfig
from torch import Tensor

from impasto.build.optimization import Painter, named_style
from impasto.build.settings import Count, Flag, Folder, Positive, Settings, Text, Tile
from impasto.commands.apply import failure
from impasto.commands.photo_run import PhotoRun
from impasto.images import read_file
from impasto.listing import find_photographs, make_results_folder, refuse_original
from impasto.tracking.run_folder import Interrupted

log = logging.getLogger(__name__)


class OptimizeSettings(Settings):
    """What `impasto optimize` takes for itself, as in conf/optimize.yaml."""

    output: Folder
    size: Count | None
    style_size: Count | None
    smallest: Count | None
    steps: Count
    save_every: Count
    tile: Tile
    overwrite: Flag
    blend: dict[Text, Positive] | None


def run(cfg: DictConfig) -> None:
    """Optimise every photograph named, one after the other; with `resume`, go on with the one that was interrupted."""
    given = OptimizeSettings.read(cfg)
    found = find_photographs(cfg.images, given.output)
    further = [(weight, named_style(name, cfg.data_root)) for name, weight in (given.blend or {}).items()]
    painter = Painter(cfg, further)
    make_results_folder(given.output)
    failed, lost = [], Counter[str]()
    log.info("run folder: %s", cfg.folder)
    for index, (source, name) in enumerate(found):
        photo_run = PhotoRun(cfg, name, index=index, count=len(found), target=given.output / name)
        if photo_run.is_kept():
            log.info("kept as it is: %s; overwrite=true replaces it", photo_run.target)
            continue
        try:
            refuse_original(source, photo_run.target)
            decoded = read_file(source, at_most=given.size)
            lost.update(decoded.remarks)
            assert isinstance(decoded.image, Tensor)  # of which the optimisation needs several
            photo = decoded.image[None].to(cfg.device)
            photo_run.paint(painter.optimization(photo), finish=partial(painter.finish, photo=photo), kept=decoded.kept)
        except Interrupted as error:
            raise Interrupted(f"{error}; go on with: impasto optimize resume={shlex.quote(str(cfg.folder))}") from error
        except (ValueError, FloatingPointError, FileNotFoundError, RuntimeError, MemoryError) as error:
            failed.append(failure(source, error))
    for what, count in lost.items():
        log.info("%s: %d of the photographs", what, count)
    if failed:
        title = f"{len(failed)} of {len(found)} failed:\n  " if len(found) > 1 else ""
        raise ValueError(title + "\n  ".join(failed))
