"""impasto apply: a trained network over photographs and clips."""

import errno
import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

from hydra.utils import instantiate
from omegaconf import DictConfig
from pydantic import Field

from impasto.build.methods import engine_of
from impasto.build.settings import Count, Flag, Folder, Settings
from impasto.hardware import check_device
from impasto.listing import find_photographs, is_clip, make_results_folder
from impasto.methods import Seen, describe_scenes
from impasto.pipeline import Job, Pipeline
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted

log = logging.getLogger(__name__)

_FRAMES = 1000  # photographs that a clip counts as, where an engine is chosen


class ApplySettings(Settings):
    """What `impasto apply` takes for itself, as in conf/apply.yaml."""

    output: Folder
    size: Count | None
    batch: Count
    overwrite: Flag
    steady: Annotated[float, Field(ge=0, lt=1, strict=True)]
    look_size: Annotated[int, Field(ge=64, strict=True)] | None  # pixels; below, a preview says nothing


def run(cfg: DictConfig) -> None:
    """Apply a shipped network or that of a run to every photograph and clip named."""
    given = ApplySettings.read(cfg)
    found = find_photographs(cfg.images, given.output)
    check_device(cfg.device)
    clips = any(is_clip(source) for source, _ in found)
    method = instantiate(cfg.method)(cfg, engine_of(cfg, photographs=_FRAMES if clips else len(found)))
    make_results_folder(given.output)
    wanted = [Job(source, given.output / name) for source, name in found]
    wanted = [job for job in wanted if given.overwrite or not job.target.exists()]
    jobs = [job for job in wanted if not is_clip(job.source)]
    pipeline = Pipeline(method, size=given.size, batch=given.batch)
    begin = time.perf_counter()
    failed = _apply(pipeline, jobs, given.output, borrowed=cfg.global_image is not None)
    written = len(pipeline.written)
    if jobs or not clips:
        log.info("%d written to %s, %.1f images/s", written, given.output, written / (time.perf_counter() - begin))
    if clips:
        from impasto.commands.apply_clips import apply_clips

        failed += apply_clips(cfg, [job for job in wanted if is_clip(job.source)], method)
    if kept := len(found) - len(wanted):
        log.info("%d were already there and kept as they are; overwrite=true replaces them", kept)
    if failed:
        raise ValueError(f"{len(failed)} of {len(found)} failed:\n  " + "\n  ".join(failed))


def _apply(pipeline: Pipeline, jobs: Sequence[Job], output: Path, *, borrowed: bool) -> list[str]:
    """Return what failed; `borrowed`: scenes are those of a global image."""
    failed: list[str] = []
    remarks: list[str] = []
    lost: Counter[str] = Counter()
    try:
        with Bar(total=len(jobs)) as bar, closing(pipeline(jobs)) as results:
            for number, done in enumerate(results, start=1):
                source, error = done.job.source, done.error
                bar.update(number, f"{bar.rate(number):.1f} images/s {source.name}")
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                    what = f"{error.strerror}; {len(pipeline.written)} of {len(jobs)} written"
                    raise OSError(error.errno, what, str(done.job.target)) from error
                if error is not None:
                    failed.append(failure(source, error))
                elif remark := _remark(done.seen, borrowed=borrowed):
                    remarks.append(f"{source}: {remark}")
                lost.update(done.lost)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"{len(pipeline.written)} of {len(jobs)} written to {output}; the same command with output={output} goes on"
        ) from error
    finally:  # when the bar is gone, which would be torn by them
        for remark in [*remarks, *(f"{what}: {count} of the photographs" for what, count in lost.items())]:
            log.info("%s", remark)
    return failed


def failure(source: Path, error: Exception) -> str:
    """Say why a photograph could not be done."""
    reason = str(error) or "it takes more memory than is free"
    return reason if str(source) in reason else f"{source}: {reason}"


def _remark(seen: Seen, *, borrowed: bool) -> str:
    remarks = ["is in colour: only its lightness was used"] if seen.lost_colours else []
    if seen.scenes:
        remarks.append(f"{'with the global features of ' if borrowed else ''}{describe_scenes(seen.scenes)}")
    return "; ".join(remarks)
