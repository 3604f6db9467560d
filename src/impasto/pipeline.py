"""Photographs through a method as a pipeline: while the network computes, others are decoded and encoded."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.images import Decoded, read_file, write_image
from impasto.listing import refuse_original
from impasto.memory import TooLargeError
from impasto.methods import Applied, Method, Seen, Stylizing
from impasto.strips import Strips

_THREADS = 2  # that decode, and as many that encode; Pillow lets go of Python's lock
_HELD = 32_000_000  # pixels that wait, decoded, for the network: 400 MB
_BATCH = 4_000_000  # pixels that the network sees at once
_WRITING = 4  # results that wait to be encoded
_FAILURES = (ValueError, OSError, RuntimeError, MemoryError)  # that cost one photograph


class Job(NamedTuple):
    """A photograph, and the file that its result shall be."""

    source: Path
    target: Path


class Done(NamedTuple):
    """How a job ended."""

    job: Job
    seen: Seen = Seen()  # what the method saw in the photograph
    lost: tuple[str, ...] = ()  # what of its file the result has not, in words
    error: Exception | None = None  # why nothing was written; None where the result is there


_Photo = tuple[Job, Decoded]


class Pipeline:
    """Reads, computes and writes at the same time, and lets the network see photographs of one size together.

    Memory stays bounded however many jobs there are: no more is decoded while enough waits. A photograph that fails
    costs that photograph only.

    Args:
        method: what is done to them.
        size: longer side in pixels at most, before the method sees a photograph; None keeps its size.
        batch: photographs of one size that the method sees at once, at most.
    """

    def __init__(self, method: Method, *, size: int | None, batch: int) -> None:
        self.method, self.size, self.batch = method, size, batch
        self.written: list[Path] = []  # targets that are there, also of jobs not yet yielded as done

    def __call__(self, jobs: Sequence[Job]) -> Generator[Done, None, None]:
        """Yield each job when it is done, in about their order; closing it early finishes what is being written.

        A job that did not fit into memory beside the others is done again when they are through.
        """
        alone: list[Job] = []
        with closing(self._together(jobs)) as running:
            for done in running:
                if len(jobs) > 1 and isinstance(done.error, TooLargeError | MemoryError | RuntimeError):
                    alone.append(done.job)
                else:
                    yield done
        for job in alone:
            yield from self._together([job])

    def _together(self, jobs: Sequence[Job]) -> Generator[Done, None, None]:
        readers, writers = ThreadPoolExecutor(_THREADS), ThreadPoolExecutor(_THREADS)
        writing: deque[Future[Done]] = deque()
        try:
            for group in self._groups(jobs, readers):
                if isinstance(group, Done):
                    yield group
                    continue
                for photo, result in zip(group, self._apply(group), strict=True):
                    if isinstance(result, Exception):
                        yield Done(photo[0], error=result)
                    else:
                        writing.append(writers.submit(self._write, photo, result))
                while len(writing) > _WRITING or (writing and writing[0].done()):
                    yield writing.popleft().result()
            while writing:
                yield writing.popleft().result()
        finally:
            readers.shutdown(cancel_futures=True)
            writers.shutdown()

    def _groups(self, jobs: Sequence[Job], readers: ThreadPoolExecutor) -> Iterator[list[_Photo] | Done]:
        """Decode ahead; yield photographs of one size together, or a job whose photograph cannot be read."""
        coming, pixels = iter(jobs), _HELD
        ahead: deque[Future[_Photo | Done]] = deque()
        waiting: dict[tuple[int, int], list[_Photo]] = {}
        while True:
            room = _THREADS + min(self.batch, _HELD // pixels) - len(ahead)  # as if the next were as large as the last
            ahead += [readers.submit(self._read, job) for job in islice(coming, max(0, room))]
            if not ahead:
                yield from waiting.values()
                return
            read = ahead.popleft().result()
            if isinstance(read, Done):
                yield read
                continue
            height, width = read[1].image.shape[-2:]
            pixels = height * width
            group = waiting.setdefault((height, width), [])
            group.append(read)
            if len(group) >= max(1, min(self.batch, _BATCH // pixels)):
                yield waiting.pop((height, width))
            elif sum(len(group) * height * width for (height, width), group in waiting.items()) >= _HELD:
                yield waiting.pop(next(iter(waiting)))  # enough waits: the size that came first goes first

    def _read(self, job: Job) -> _Photo | Done:
        try:
            refuse_original(job.source, job.target)
            return job, read_file(job.source, at_most=self.size, scratch=partial(self._scratch, job))
        except _FAILURES as error:
            return Done(job, error=error)

    def _scratch(self, job: Job, height: int, width: int) -> Path | None:
        """Where the layers of a large photograph lie: beside the result, since /tmp may be memory."""
        if not isinstance(self.method, Stylizing) or not self.method.is_large(height, width):
            return None
        job.target.parent.mkdir(parents=True, exist_ok=True)
        return job.target.parent

    def _apply(self, group: Sequence[_Photo]) -> Sequence[Applied | Strips | Exception]:
        images = [decoded.image for _, decoded in group]
        whole = [image for image in images if isinstance(image, Tensor)]
        try:
            if len(whole) == len(images):
                return self.method(torch.stack(whole))
            if len(images) == 1 and isinstance(self.method, Stylizing) and isinstance(images[0], Strips):
                return [self.method.paint_strips(images[0])]
        except _FAILURES as error:
            if len(group) == 1:
                return [error]
        return [self._apply([photo])[0] for photo in group]

    def _write(self, photo: _Photo, result: Applied | Strips) -> Done:
        job, decoded = photo
        image, seen = (result, Seen()) if isinstance(result, Strips) else result
        try:
            write_image(job.target, image, decoded.kept)
        except _FAILURES as error:
            return Done(job, error=error)
        self.written.append(job.target)
        return Done(job, seen, decoded.remarks)
