"""A clip through a method; what is finished is kept in segments beside the result, where the same command goes on."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from impasto.files import short_name, whole_file, write_text
from impasto.listing import refuse_original
from impasto.memory import gibibytes
from impasto.methods import Method
from impasto.video.clip import Clip, Frame, Segment, join
from impasto.video.steadying import Steadying

_SEGMENT = 100  # frames; a kill loses that many at most
_BATCH = 4_000_000  # pixels that the network sees at once
_BYTES = 0.15  # a pixel of a painted frame, encoded; measured 0.03 (Udnie, steadied) to 0.14 (The Starry Night)


class Parts:
    """The folder of what is finished of a result: segments, and the state of the steadying after the last one.

    Args:
        target: the file that the result shall be.
        about: what the pictures depend on, plain data; parts of another kind are removed.
    """

    def __init__(self, target: Path, about: Mapping[str, Any]) -> None:
        self.folder = target.with_name(f".{short_name(target.name)}.parts")
        text, file = json.dumps(about, default=str, sort_keys=True), self.folder / "about.json"
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            self.remove()
            write_text(file, text)

    def segments(self) -> list[Path]:
        """Return the files that are finished, in order; each is named by the number of frames up to its end."""
        return sorted(self.folder.glob("[0-9]*.nut"))

    def frames(self) -> int:
        """Count the frames that are finished."""
        return max((int(path.stem) for path in self.segments()), default=0)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the state of the steadying after the last segment."""
        file = self._state(self.frames())
        return load_file(file) if file.is_file() else {}

    @contextmanager
    def segment(self, clip: Clip, steadying: Steadying) -> Iterator[Segment]:
        """Write the next segment, which is kept when the body ends."""
        before = self.frames()
        with whole_file(self.folder / "next.nut") as temporary:
            with Segment(temporary, clip) as segment:
                yield segment
            with whole_file(self._state(before + segment.frames)) as file:
                save_file({name: tensor.contiguous() for name, tensor in steadying.last.items()}, file)
        (self.folder / "next.nut").rename(self.folder / f"{before + segment.frames:010d}.nut")
        self._state(before).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _state(self, frames: int) -> Path:
        return self.folder / f"{frames:010d}.safetensors"


class Painting:
    """A clip on its way through a method.

    Args:
        source: the clip's file.
        target: the file of the result.
        about: what the pictures depend on, plain data.
        size: longer side of the frames in pixels at most; None keeps their size.

    Raises:
        FileNotFoundError: no such clip.
        ValueError: no clip that can be read.
    """

    def __init__(self, source: Path, target: Path, *, about: Mapping[str, Any], size: int | None) -> None:
        refuse_original(source, target)
        self.target, self.clip = target, Clip(source, size=size)
        file = source.stat()
        self.parts = Parts(target, {**about, "clip": [str(source.resolve()), file.st_size, file.st_mtime_ns]})
        self.first = self.parts.frames()

    def paint(
        self, method: Method, *, batch: int, steady: float, device: str, progress: Callable[[int], bool]
    ) -> list[str] | None:
        """Paint the frames that are not finished, and write the result.

        Args:
            method: what is done to them.
            batch: frames that the method sees at once, at most.
            steady: share of the picture before, as of `Steadying`.
            device: of the steadying.
            progress: called with the number of frames that are done; says whether to stop, with all of them kept.

        Returns:
            What of the clip its result has not, in words; None where it was stopped.

        Raises:
            ValueError: no frame can be decoded, or the result would not fit on the disk.
        """
        steadying = Steadying(steady, device=device, last=self.parts.state())
        width, height = self.clip.size
        frames = self.clip.frames(self.first)
        batches = iter(partial(_take, frames, max(1, min(batch, _BATCH // (width * height)))), [])
        done, stop = self.first, False
        for begin in batches:
            with self.parts.segment(self.clip, steadying) as segment:
                for group in chain([begin], batches):
                    found = method(torch.stack([frame.image for frame in group]))
                    if done == self.first:
                        self._check_disk(found[0].image.shape[-2:].numel())
                    for frame, applied in zip(group, found, strict=True):
                        segment.add(steadying(frame.image, applied.image), frame)
                    done += len(group)
                    stop = progress(done)
                    if stop or segment.frames >= _SEGMENT:
                        break
            if stop and done < self.clip.count:
                return None
        if not done:
            raise ValueError(f"{self.clip.path} holds no frame that can be decoded")
        lost = self.clip.lost + join(self.parts.segments(), self.clip, self.target)
        self.parts.remove()
        return lost + ([f"{self.clip.damaged} damaged packets"] if self.clip.damaged else [])

    def _check_disk(self, pixels: int) -> None:
        """Refuse a clip whose segments and result, of frames with so many pixels, would not fit on the disk."""
        needed = _BYTES * pixels * (2 * self.clip.count - self.first)
        free = shutil.disk_usage(self.target.parent).free
        if needed > free:
            raise ValueError(
                f"{self.clip.path} would take about {gibibytes(needed)} and {gibibytes(free)} is free on the disk of "
                f"{self.target.parent}; give another output= or size=<longer side in pixels>"
            )


def _take(frames: Iterator[Frame], most: int) -> list[Frame]:
    return list(islice(frames, most))
