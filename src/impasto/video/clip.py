"""Clips in and out, frame by frame: decoded the right way up, encoded in segments, joined with the sound."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import av
import numpy as np
import torch
from av.audio.stream import AudioStream
from av.codec.context import ThreadType
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from impasto.files import whole_file
from impasto.images import to_uint8

_OPTIONS = {"crf": "18", "preset": "veryfast", "bf": "0"}  # without B-frames, segments can be joined as they are
_RATE = Fraction(25)  # where a file has none
_BT709 = 1  # in H.264's tables
AnyPacket: TypeAlias = "Packet[Any]"  # generic in its types only


class Frame(NamedTuple):
    """A frame of a clip."""

    image: Tensor  # RGB in [0, 1], (3, H, W)
    start: int  # in units of the clip's time base
    duration: int  # likewise; 0 where the file does not say


class Clip:
    """A clip's file: what its head says, and its frames, one after the other; a ValueError where it cannot be read.

    Args:
        path: of the file.
        size: longer side of the frames in pixels at most; None keeps their size.
    """

    def __init__(self, path: Path, *, size: int | None) -> None:
        self.path = path
        try:
            with path.open("rb"), av.open(f"file:{path}") as container:  # a name such as a:b is no protocol
                video = container.streams.best("video")
                if not isinstance(video, VideoStream) or not video.width or video.time_base is None:
                    raise ValueError(f"{path} holds no moving pictures")
                scale = min(1.0, (size or 10**9) / max(video.width, video.height))
                self.size = tuple(max(1, round(side * scale)) for side in (video.width, video.height))  # as stored
                self.rate, self.time_base = video.average_rate or _RATE, video.time_base
                self.shape_of_pixels = video.sample_aspect_ratio or Fraction(1)
                others = {stream.type for stream in container.streams} - {"video", "audio"}
                self.lost = [f"{name}s" if name != "data" else name for name in sorted(others)]
                self.count = video.frames or sum(packet.size > 0 for packet in container.demux(video))
        except av.FFmpegError as error:
            raise ValueError(f"{path} is not a clip that can be read: {error.strerror}") from error
        self.damaged = 0  # packets that could not be decoded

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Decode the frames from the one with that number on; starts increase strictly."""
        width, height = self.size
        step = max(1, round(1 / (self.rate * self.time_base)))
        start = -step
        for number, frame in enumerate(self._decoded()):
            given = start + step if frame.pts is None else frame.pts
            start = max(given, start + 1) if number else given
            if number >= first:
                pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BICUBIC")
                image = (torch.from_numpy(pixels).permute(2, 0, 1) / 255).rot90(round(frame.rotation / 90), (1, 2))
                yield Frame(image.contiguous(), start, frame.duration or 0)

    def _decoded(self) -> Iterator[VideoFrame]:
        """What cannot be decoded is counted and passed over, as players do."""
        with av.open(f"file:{self.path}") as container:
            video = container.streams.best("video")
            assert isinstance(video, VideoStream)
            video.thread_type = ThreadType.AUTO
            packets = container.demux(video)
            while True:
                try:
                    if (packet := next(packets, None)) is None:
                        return
                    yield from video.decode(packet)
                except av.error.InvalidDataError:
                    self.damaged += 1


class Segment:
    """A file of pictures in H.264, a part of a clip; finished when the `with` block is left."""

    def __init__(self, path: Path, clip: Clip) -> None:
        self.clip, self.frames = clip, 0
        self._container = av.open(f"file:{path}", "w", format="nut")  # which keeps any time base

    def add(self, picture: Tensor, frame: Frame) -> None:
        """Add the picture (3, H, W) of a frame; an odd side, which H.264 has not, is repeated at its end."""
        pixels = to_uint8(picture)
        height, width = pixels.shape[:2]
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if not self.frames:
            turned = (frame.image.shape[-1] > frame.image.shape[-2]) != (self.clip.size[0] > self.clip.size[1])
            self._stream = self._container.add_stream("libx264", rate=self.clip.rate, options=dict(_OPTIONS))
            self._stream.height, self._stream.width, self._stream.pix_fmt = *pixels.shape[:2], "yuv420p"
            context, pixel = self._stream.codec_context, self.clip.shape_of_pixels
            context.time_base, context.sample_aspect_ratio = self.clip.time_base, 1 / pixel if turned else pixel
            context.colorspace = context.color_primaries = context.color_trc = context.color_range = _BT709
        shown = VideoFrame.from_ndarray(pixels, format="rgb24")
        shown = shown.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        shown.pts, shown.time_base, shown.duration = frame.start, self.clip.time_base, frame.duration
        self._container.mux(self._stream.encode(shown))
        self.frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._container:
            if kind is None:
                self._container.mux(self._stream.encode(None))


def join(segments: Sequence[Path], clip: Clip, target: Path) -> list[str]:
    """Write segments and the sound of a clip as one file, whole or not at all; nothing is encoded again.

    Returns, in words, what of the sound the target's format does not hold.
    """
    lost = []
    with whole_file(target) as temporary, ExitStack() as stack:
        source, head = (stack.enter_context(av.open(f"file:{path}")) for path in (clip.path, segments[0]))
        result = stack.enter_context(av.open(f"file:{temporary}", "w"))
        video = result.add_stream_from_template(head.streams.video[0])
        video.time_base = clip.time_base
        sounds = {}
        for sound in source.streams.audio:
            if sound.codec.canonical_name in result.supported_codecs:
                sounds[sound.index] = result.add_stream_from_template(sound)
            else:
                lost.append(f"sound in {sound.codec.canonical_name}")
        packets = _pictures(segments, video), _sound(source, sounds)
        for packet in merge(*packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            result.mux(packet)
    return lost


def _pictures(segments: Sequence[Path], stream: VideoStream) -> Iterator[AnyPacket]:
    for path in segments:
        with av.open(f"file:{path}") as segment:
            for packet in segment.demux(video=0):
                if packet.pts is not None:  # the last one is empty
                    packet.dts, packet.stream = packet.pts, stream
                    yield packet


def _sound(source: av.container.InputContainer, streams: dict[int, AudioStream]) -> Iterator[AnyPacket]:
    if not streams:
        return
    for packet in source.demux([source.streams[index] for index in streams]):
        if packet.dts is not None:
            packet.stream = streams[packet.stream.index]
            yield packet
