"""The clips of `impasto apply`: frame by frame, steadied, with the sound; stopped and gone on with."""

import errno
import logging
import time
from collections.abc import Sequence
from importlib.util import find_spec

from omegaconf import DictConfig

from impasto.build.settings import plain
from impasto.methods import Method
from impasto.pipeline import Job
from impasto.tracking.bar import Bar
from impasto.tracking.run_folder import Interrupted
from impasto.tracking.stop import StopSignal

log = logging.getLogger(__name__)

_ABOUT = (  # what a result that goes on must have been begun with
    *("method", "run", "style", "styles", "strength", "look_size", "colors"),
    *("global_image", "factor", "size", "steady"),
)


def apply_clips(cfg: DictConfig, jobs: Sequence[Job], method: Method) -> list[str]:
    """Apply a method to clips, one after the other; return what failed, with the reason.

    Args:
        cfg: of `impasto apply`.
        jobs: clips and the files that their results shall be.
        method: what is done to their frames.
    """
    if find_spec("av") is None:
        return [f"{job.source}: clips need PyAV; expected pip install 'impasto[video]'" for job in jobs]
    from av import FFmpegError

    failed = []
    for job in jobs:
        try:
            _apply(cfg, job, method)
        except (ValueError, OSError, RuntimeError, MemoryError, FFmpegError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                what = f"{error.strerror}; what is finished is kept"
                raise OSError(error.errno, what, str(job.target)) from error
            reason = str(error) or "it takes more memory than is free"
            failed.append(reason if str(job.source) in reason else f"{job.source}: {reason}")
    return failed


def _apply(cfg: DictConfig, job: Job, method: Method) -> None:
    from impasto.video.painting import Painting

    about = {name: plain(cfg[name]) for name in _ABOUT}
    painting = Painting(job.source, job.target, about=about, size=cfg.size)
    total, begin, first = painting.clip.count, time.perf_counter(), painting.first
    done = first
    with StopSignal() as stop, Bar(total=total, done=first) as bar:

        def progress(number: int) -> bool:
            nonlocal done
            done = number
            bar.update(number, f"{bar.rate(number):.1f} frames/s {job.source.name}")
            return stop.requested

        options = {"batch": cfg.batch, "steady": cfg.steady, "device": cfg.device}
        lost = painting.paint(method, **options, progress=progress)
    if lost is None:
        raise Interrupted(
            f"{done} of {total} frames of {job.source} are kept; the same command with output={cfg.output} goes on"
        )
    rate = (done - first) / (time.perf_counter() - begin)
    log.info("%s: %d frames written to %s, %.1f frames/s", job.source, done, job.target, rate)
    if lost:
        log.info("%s: not kept: %s", job.source, ", ".join(lost))
