"""impasto apply: a trained network over photographs."""

import errno
import logging
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from impasto.commands.engines import engine_of
from impasto.hardware import check_device
from impasto.images import read_image, resize_longer_side, write_image
from impasto.listing import Found, find_images, refuse_clashes, refuse_original, result_name
from impasto.methods import Method
from impasto.tracking.run_folder import Interrupted

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Apply a shipped network or that of a run to every photograph named.

    Raises:
        ValueError: some photographs could not be done (the others were); names them.
        OSError: the output folder cannot be written, or the disk is full.
        Interrupted: stopped by Ctrl-C; what was written is whole.
    """
    images = [cfg.images] if isinstance(cfg.images, str) else list(cfg.images or [])
    found = [Found(path, result_name(name)) for path, name in find_images(images)]
    refuse_clashes(found)
    if cfg.size is not None and (not isinstance(cfg.size, int) or cfg.size < 1):
        raise ValueError(f"expected size=<longer side in pixels>, at least 1, got {cfg.size}")
    check_device(cfg.device)
    method = instantiate(cfg.method)(cfg, engine_of(cfg, photographs=len(found)))
    output = Path(str(cfg.output))  # a folder 0 is a number to Hydra
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output):  # a folder that cannot be written is found before the work, not after
        pass
    written, kept, failed = _apply(method, found, output, size=cfg.size, overwrite=cfg.overwrite)
    log.info("%d written to %s", written, output)
    if kept:
        log.info("%d were already there and kept as they are; overwrite=true replaces them", kept)
    if failed:
        raise ValueError(f"{len(failed)} of {len(found)} failed:\n  " + "\n  ".join(failed))


def _apply(
    method: Method, found: list[Found], output: Path, *, size: int | None, overwrite: bool
) -> tuple[int, int, list[str]]:
    """Return how many were written, how many were there already, and what failed."""
    written, kept, failed = 0, 0, []
    remarks: list[str] = []
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with ExitStack() as after, Progress(*columns, console=Console(stderr=True)) as bar:
        after.callback(_tell, remarks)  # when the bar is gone, which would be torn by them
        task = bar.add_task("", total=len(found))
        for source, name in found:
            bar.update(task, description=source.name.replace("[", r"\["))
            target = output / name
            if target.exists() and not overwrite:
                kept += 1
            else:
                try:
                    refuse_original(source, target)
                    photo = read_image(source)
                    if size is not None and size < max(photo.shape[-2:]):
                        photo = resize_longer_side(photo, size)
                    applied = method(photo[None])[0]
                    write_image(target, applied.image)
                    written += 1
                    if applied.remark:
                        remarks.append(f"{source}: {applied.remark}")
                except KeyboardInterrupt as error:
                    raise Interrupted(
                        f"{written} of {len(found)} written to {output}; the same command with output={output} goes on"
                    ) from error
                except (ValueError, OSError, RuntimeError) as error:
                    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                        raise OSError(
                            error.errno, f"{error.strerror}; {written} of {len(found)} written", str(target)
                        ) from error
                    failed.append(str(error) if str(source) in str(error) else f"{source}: {error}")
            bar.advance(task)
    return written, kept, failed


def _tell(remarks: list[str]) -> None:
    for remark in remarks:
        log.info("%s", remark)
