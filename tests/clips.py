"""Small clips, made by PyAV, and what is in a clip's file."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 25


def make_clip(
    path: Path,
    *,
    frames: int = 12,
    width: int = 64,
    height: int = 48,
    codec: str = "libx264",
    sound: str | None = "aac",
    rotation: int = 0,
    times: list[Fraction] | None = None,
) -> Path:
    """A pattern that moves to the left by two pixels a frame, red on its left, with a tone; `times` in seconds."""
    times = times or [Fraction(number, RATE) for number in range(frames)]
    unit = Fraction(1, 12800)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=RATE)
        video.width, video.height = width, height
        video.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
        video.codec_context.time_base = unit
        if rotation:
            video.set_display_rotation(rotation)
        tone: Any = container.add_stream(sound, rate=16000, layout="mono") if sound else None
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(width, height, number), format="rgb24")
            frame.pts, frame.time_base = int(time / unit), unit
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if tone is not None:
            wave = (8000 * np.sin(np.arange(int(16000 * times[-1]) + 1024) / 20)).astype(np.int16)[None]
            for begin in range(0, wave.shape[1], 1024):
                part = av.AudioFrame.from_ndarray(wave[:, begin : begin + 1024], format="s16", layout="mono")
                part.sample_rate, part.pts, part.time_base = 16000, begin, Fraction(1, 16000)
                container.mux(tone.encode(part))
            container.mux(tone.encode(None))
    return path


def picture(width: int, height: int, number: int) -> np.ndarray:
    """A frame's pixels, uint8, (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    moved = x + 2 * number
    green = 128 + 90 * np.sin(moved / 5) * np.cos(y / 4)
    return np.stack([255 * (x < width / 3), green, np.full_like(x, 60)], axis=-1).astype(np.uint8)


def pictures_of(path: Path) -> tuple[np.ndarray, list[Fraction]]:
    """All frames of a file, (N, H, W, 3) as floats, and their times in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return np.stack([f.to_ndarray(format="rgb24").astype(float) for f in frames]), [f.pts * f.time_base for f in frames]


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """All packets of a file's sound: times in seconds, and bytes."""
    with av.open(str(path)) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(audio=0) if p.pts is not None]
