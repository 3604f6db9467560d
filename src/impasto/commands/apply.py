"""impasto apply: a trained network over photographs."""

import errno
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from impasto.commands.engines import engine_of
from impasto.hardware import check_device
from impasto.listing import Found, find_images, refuse_clashes, result_name
from impasto.pipeline import Job, Pipeline
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
    if not isinstance(cfg.batch, int) or cfg.batch < 1:
        raise ValueError(f"expected batch=<photographs of one size at once>, at least 1, got {cfg.batch}")
    check_device(cfg.device)
    method = instantiate(cfg.method)(cfg, engine_of(cfg, photographs=len(found)))
    output = Path(str(cfg.output))  # a folder 0 is a number to Hydra
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output):  # a folder that cannot be written is found before the work, not after
        pass
    jobs = [Job(source, output / name) for source, name in found if cfg.overwrite or not (output / name).exists()]
    pipeline = Pipeline(method, size=cfg.size, batch=cfg.batch)
    begin = time.perf_counter()
    failed = _apply(pipeline, jobs, output)
    written = len(pipeline.written)
    log.info("%d written to %s, %.1f images/s", written, output, written / (time.perf_counter() - begin))
    if kept := len(found) - len(jobs):
        log.info("%d were already there and kept as they are; overwrite=true replaces them", kept)
    if failed:
        raise ValueError(f"{len(failed)} of {len(found)} failed:\n  " + "\n  ".join(failed))


def _apply(pipeline: Pipeline, jobs: Sequence[Job], output: Path) -> list[str]:
    """Return what failed."""
    failed: list[str] = []
    remarks: list[str] = []
    lost: Counter[str] = Counter()
    columns = (BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(), TextColumn("{task.description}"))
    try:
        with ExitStack() as after, Progress(*columns, console=Console(stderr=True)) as bar:
            after.callback(_tell, remarks, lost)  # when the bar is gone, which would be torn by them
            task = bar.add_task("", total=len(jobs))
            for done in after.enter_context(closing(pipeline(jobs))):
                source, error = done.job.source, done.error
                bar.update(task, advance=1, description=source.name.replace("[", r"\["))
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                    told = f"{error.strerror}; {len(pipeline.written)} of {len(jobs)} written"
                    raise OSError(error.errno, told, str(done.job.target)) from error
                if error is not None:
                    reason = str(error) or "it takes more memory than is free"
                    failed.append(reason if str(source) in reason else f"{source}: {reason}")
                elif done.remark:
                    remarks.append(f"{source}: {done.remark}")
                lost.update(done.lost)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"{len(pipeline.written)} of {len(jobs)} written to {output}; the same command with output={output} goes on"
        ) from error
    return failed


class _Rate(ProgressColumn):
    """Photographs in a second."""

    def render(self, task: Task) -> Text:
        """Say it as soon as it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} images/s")


def _tell(remarks: list[str], lost: Mapping[str, int]) -> None:
    for remark in [*remarks, *(f"{what}: {count} of the photographs" for what, count in lost.items())]:
        log.info("%s", remark)
