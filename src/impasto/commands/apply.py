"""impasto apply: a trained network over photographs and clips."""

import errno
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from typing import Annotated

from hydra.utils import instantiate
from omegaconf import DictConfig
from pydantic import Field

from impasto.build.methods import engine_of
from impasto.build.settings import Count, Flag, Folder, Settings, plain
from impasto.commands import log
from impasto.hardware import check_device
from impasto.listing import find_photographs, is_clip, make_results_folder
from impasto.methods import Method, Seen, describe_scenes
from impasto.pipeline import Job, Pipeline
from impasto.tracking.bar import Bar
from impasto.tracking.recording import Interrupted, StopSignal

_FRAMES = 1000  # photographs that a clip counts as, where an engine is chosen
_ABOUT = (  # what the result of a clip that goes on must have been begun with
    *("method", "run", "style", "styles", "strength", "look_size", "colors"),
    *("global_image", "factor", "size", "steady"),
)


class _Settings(Settings):
    output: Folder
    size: Count | None
    batch: Count
    overwrite: Flag
    steady: Annotated[float, Field(ge=0, lt=1, strict=True)]
    look_size: Annotated[int, Field(ge=64, strict=True)] | None  # pixels; below, a preview says nothing


def run(cfg: DictConfig) -> None:
    """Apply a shipped network or that of a run to every photograph and clip named."""
    given = _Settings.read(cfg)
    found = find_photographs(cfg.images, given.output)
    check_device(cfg.device)
    jobs = [Job(source, given.output / name) for source, name in found]
    clips, photographs = ([job for job in jobs if is_clip(job.source) == kind] for kind in (True, False))
    method = instantiate(cfg.method)(cfg, engine_of(cfg, photographs=_FRAMES if clips else len(jobs)))
    make_results_folder(given.output)
    kept = {job for job in jobs if job.target.exists() and not given.overwrite}
    failed: list[str] = []
    try:
        if photographs:
            failed += _apply(cfg, method, [job for job in photographs if job not in kept], given)
        for job in clips:
            if job not in kept:
                failed += _apply_to_clip(cfg, method, job)
    except KeyboardInterrupt as error:
        raise Interrupted(f"{str(error) or 'stopped'}; the same command with output={given.output} goes on") from error
    if kept:
        log.info("%d were already there and kept as they are; overwrite=true replaces them", len(kept))
    if failed:
        raise ValueError(f"{len(failed)} of {len(found)} failed:\n  " + "\n  ".join(failed))


def _apply(cfg: DictConfig, method: Method, jobs: Sequence[Job], given: _Settings) -> list[str]:
    """Apply a method to photographs; return what failed."""
    pipeline, begin = Pipeline(method, size=given.size, batch=given.batch), time.perf_counter()
    failed: list[str] = []
    remarks: list[str] = []
    lost = Counter[str]()
    try:
        with Bar(total=len(jobs)) as bar, closing(pipeline(jobs)) as results:
            for number, done in enumerate(results, start=1):
                bar.update(number, f"{bar.rate(number):.1f} images/s {done.job.source.name}")
                if done.error is not None:
                    kept = f"{len(pipeline.written)} of {len(jobs)} written"
                    failed.append(failure(done.job, done.error, kept=kept))
                elif remark := _remark(done.seen, borrowed=cfg.global_image is not None):
                    remarks.append(f"{done.job.source}: {remark}")
                lost.update(done.lost)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{len(pipeline.written)} of {len(jobs)} written to {given.output}") from error
    finally:  # when the bar is gone, which would be torn by them
        for remark in [*remarks, *(f"{what}: {count} of the photographs" for what, count in lost.items())]:
            log.info("%s", remark)
    written, seconds = len(pipeline.written), time.perf_counter() - begin
    log.info("%d written to %s, %.1f images/s", written, given.output, written / seconds)
    return failed


def _apply_to_clip(cfg: DictConfig, method: Method, job: Job) -> list[str]:
    """Apply a method to a clip, frame by frame; return why it failed."""
    if find_spec("av") is None:
        return [f"{job.source}: clips need PyAV; expected pip install -e '.[video]'"]
    from av import FFmpegError

    from impasto.video.painting import Painting

    begin = time.perf_counter()
    try:
        about = {name: plain(cfg[name]) for name in _ABOUT}
        painting = Painting(job.source, job.target, about=about, size=cfg.size)
        total, first = painting.clip.count, painting.done
        with StopSignal() as stop, Bar(total=total, done=first) as bar:

            def progress(done: int) -> bool:
                bar.update(done, f"{bar.rate(done):.1f} frames/s {job.source.name}")
                return stop.requested

            lost = painting.paint(method, batch=cfg.batch, steady=cfg.steady, device=cfg.device, progress=progress)
    except (ValueError, OSError, RuntimeError, MemoryError, FFmpegError) as error:
        return [failure(job, error, kept="what is finished is kept")]
    if lost is None:
        raise KeyboardInterrupt(f"{painting.done} of {total} frames of {job.source} are kept")
    rate = (painting.done - first) / (time.perf_counter() - begin)
    log.info("%s: %d frames written to %s, %.1f frames/s", job.source, painting.done, job.target, rate)
    if lost:
        log.info("%s: not kept: %s", job.source, ", ".join(lost))
    return []


def failure(job: Job, error: Exception, *, kept: str) -> str:
    """Say why a result could not be had; on a full disk raise, since no other could be had either."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        raise OSError(error.errno, f"{error.strerror}; {kept}", str(job.target)) from error
    reason = str(error) or "it takes more memory than is free"
    return reason if str(job.source) in reason else f"{job.source}: {reason}"


def _remark(seen: Seen, *, borrowed: bool) -> str:
    remarks = ["is in colour: only its lightness was used"] if seen.lost_colours else []
    if seen.scenes:  # of another image, where features are borrowed
        remarks.append(f"{'with the global features of ' if borrowed else ''}{describe_scenes(seen.scenes)}")
    return "; ".join(remarks)
