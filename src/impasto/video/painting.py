"""A clip through a method; what is finished is kept in segments beside the result, where the same command goes on."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from impasto.files import short_name, whole_file, write_text
from impasto.listing import refuse_original
from impasto.memory import check_disk
from impasto.methods import Method
from impasto.video.clip import Clip, Segment, join
from impasto.video.steadying import Steadying

_SEGMENT = 100  # frames; a kill loses that many at most
_BATCH = 4_000_000  # pixels that the network sees at once
_BYTES = 0.15  # a pixel of a painted frame, encoded; measured 0.03 (Udnie, steadied) to 0.14 (The Starry Night)


class Painting:
    """A clip on its way through a method; `done` counts the frames that are finished.

    Args:
        source: the clip's file.
        target: the file of the result.
        about: what the pictures depend on, plain data; what was finished of a result about something else is removed.
        size: as of `Clip`, which refuses what cannot be read.
    """

    def __init__(self, source: Path, target: Path, *, about: Mapping[str, Any], size: int | None) -> None:
        refuse_original(source, target)
        self.target, self.clip = target, Clip(source, size=size)
        file = source.stat()
        about = {**about, "clip": [str(source.resolve()), file.st_size, file.st_mtime_ns]}
        self.folder = target.with_name(f".{short_name(target.name)}.parts")
        text, record = json.dumps(about, default=str, sort_keys=True), self.folder / "about.json"
        if not record.is_file() or record.read_text(encoding="utf-8") != text:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_text(record, text)
        self.done = max((int(path.stem) for path in self._segments()), default=0)

    def _segments(self) -> list[Path]:
        """Return the files that are finished, in order; each is named by the number of frames up to its end."""
        return sorted(self.folder.glob("[0-9]*.nut"))

    def _state(self, frames: int) -> Path:
        """The file of the steadying's state after so many frames."""
        return self.folder / f"{frames:010d}.safetensors"

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
        """
        first, state = self.done, self._state(self.done)
        steadying = Steadying(steady, device=device, last=load_file(state) if state.is_file() else {})
        width, height = self.clip.size
        frames, most = self.clip.frames(first), max(1, min(batch, _BATCH // (width * height)))
        groups = iter(lambda: list(islice(frames, most)), [])
        stop = False
        for begin in groups:
            with self._segment(steadying) as segment:
                for group in chain([begin], groups):
                    found = method(torch.stack([frame.image for frame in group]))
                    if self.done == first:
                        pixels = found[0].image.shape[-2:].numel() * (2 * self.clip.count - first)
                        check_disk(_BYTES * pixels, str(self.clip.path), self.target.parent)
                    for frame, applied in zip(group, found, strict=True):
                        segment.add(steadying(frame.image, applied.image), frame)
                    self.done += len(group)
                    stop = progress(self.done)
                    if stop or segment.frames >= _SEGMENT:
                        break
            if stop and self.done < self.clip.count:
                return None
        if not self.done:
            raise ValueError(f"{self.clip.path} holds no frame that can be decoded")
        lost = self.clip.lost + join(self._segments(), self.clip, self.target)
        shutil.rmtree(self.folder, ignore_errors=True)
        return lost + ([f"{self.clip.damaged} damaged packets"] if self.clip.damaged else [])

    @contextmanager
    def _segment(self, steadying: Steadying) -> Iterator[Segment]:
        """Write the next segment, and the state of the steadying after it; kept when the body ends."""
        before = self.done
        with whole_file(self.folder / "next.nut") as temporary:
            with Segment(temporary, self.clip) as segment:
                yield segment
            with whole_file(self._state(self.done)) as file:
                save_file({name: tensor.contiguous() for name, tensor in steadying.last.items()}, file)
        (self.folder / "next.nut").rename(self.folder / f"{self.done:010d}.nut")
        self._state(before).unlink(missing_ok=True)
