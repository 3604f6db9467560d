"""Clips in and out: times, sound, rotation and odd sizes; what is broken is said in a sentence."""

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="impasto[video] is not installed")

from clips import make_clip, picture, pictures_of, sound_of

from impasto.video.clip import Clip, Segment, join

UNEVEN = [Fraction(number * number, 100) for number in range(8)]


def _copied(source: Path, target: Path, *, size: int | None = None, parts: tuple[int, ...] = (0, 5)) -> list[str]:
    """Copy a clip in segments that begin with the frames of `parts`."""
    clip = Clip(source, size=size)
    frames, files = list(clip.frames()), []
    for begin, end in zip(parts, [*parts[1:], len(frames)], strict=True):
        files.append(target.with_name(f"{begin}.nut"))
        with Segment(files[-1], clip) as segment:
            for frame in frames[begin:end]:
                segment.add(frame.image, frame)
    return join(files, clip, target)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_a_copy_has_the_times_the_sound_and_the_pictures(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / f"a{suffix}")
    assert _copied(source, tmp_path / f"b{suffix}") == []
    (before, times), (after, new_times) = pictures_of(source), pictures_of(tmp_path / f"b{suffix}")
    assert new_times == times and len(times) == 12
    assert np.abs(before - after).mean() < 4
    assert sound_of(tmp_path / f"b{suffix}") == sound_of(source)


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", times=UNEVEN)
    _copied(source, tmp_path / "b.mp4", parts=(0, 3, 6))
    assert pictures_of(tmp_path / "b.mp4")[1] == pictures_of(source)[1] == UNEVEN


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_clip_that_a_telephone_turned_is_the_right_way_up(tmp_path: Path, quarter: int) -> None:
    source = make_clip(tmp_path / "a.mp4", rotation=90 * quarter)
    clip = Clip(source, size=None)
    image = next(clip.frames()).image.permute(1, 2, 0).numpy() * 255
    assert np.abs(image - np.rot90(picture(64, 48, 0), quarter)).mean() < 12
    _copied(source, tmp_path / "b.mp4")
    after, _ = pictures_of(tmp_path / "b.mp4")
    assert after.shape[1:3] == image.shape[:2] and np.abs(after[0] - image).mean() < 6
    assert next(Clip(tmp_path / "b.mp4", size=None).frames()).image.shape[1:] == image.shape[:2]  # not turned twice


def test_odd_sides_are_repeated_at_their_end(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", width=33, height=47)
    assert next(Clip(source, size=None).frames()).image.shape == (3, 47, 33)
    _copied(source, tmp_path / "b.mp4")
    assert pictures_of(tmp_path / "b.mp4")[0].shape == (12, 48, 34, 3)


def test_size_bounds_the_longer_side_and_never_enlarges(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    assert next(Clip(source, size=32).frames()).image.shape == (3, 24, 32)
    assert next(Clip(source, size=100).frames()).image.shape == (3, 48, 64)


def test_frames_begin_anywhere_and_are_counted_without_decoding(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        clip = Clip(make_clip(tmp_path / f"a{suffix}"), size=None)
        assert clip.count == 12
        assert [frame.start for frame in clip.frames(9)] == [frame.start for frame in clip.frames()][9:]


def test_sound_that_the_target_does_not_hold_is_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.avi", codec="mpeg4", sound="adpcm_ms")
    assert _copied(source, tmp_path / "b.mp4") == ["sound in adpcm_ms"]
    source = make_clip(tmp_path / "c.avi", codec="mpeg4", sound="pcm_s16le")
    assert _copied(source, tmp_path / "c.mkv") == []
    assert b"".join(data for _, data in sound_of(tmp_path / "c.mkv")) == b"".join(data for _, data in sound_of(source))


def test_a_damaged_packet_costs_that_packet_only(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.avi", codec="ffv1", sound=None, frames=30)
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff" * 2000
    source.write_bytes(data)
    clip = Clip(source, size=None)
    assert 20 <= len(list(clip.frames())) <= 30


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is not a clip that can be read"), (b"no clip at all" * 99, "is not a clip that can be read")],
)
def test_what_is_no_clip_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Clip(tmp_path / "a.mp4", size=None)


def test_half_a_file_sound_alone_and_none_at_all_are_refused(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is not a clip that can be read"):
        Clip(tmp_path / "half.mp4", size=None)
    with wave.open(str(tmp_path / "sound.mkv"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(3200))
    with pytest.raises(ValueError, match="holds no moving pictures"):
        Clip(tmp_path / "sound.mkv", size=None)
    with pytest.raises(FileNotFoundError):
        Clip(tmp_path / "none.mp4", size=None)
