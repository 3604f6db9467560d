"""Steadied pictures: flicker is halved, what is new or hidden stays as it is, a still clip stays sharp."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.data import sample_paths
from impasto.images import read_image
from impasto.video import Steadying


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """(3, 400, 600)."""
    return read_image(Path(sample_paths(["coffee.png"])[0]))


def _noise(seed: int, *size: int) -> Tensor:
    return 0.05 * torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def _steadied(frames: list[Tensor], pictures: list[Tensor], share: float) -> list[Tensor]:
    steadying = Steadying(share)
    return [steadying(*pair) for pair in zip(frames, pictures, strict=True)]


def test_flicker_of_a_moving_clip_is_at_most_half(photo: Tensor) -> None:
    frames = [photo[:, 100:220, 100 + 3 * number : 260 + 3 * number] for number in range(6)]
    pictures = [(frame + _noise(number, *frame.shape)).clamp(0, 1) for number, frame in enumerate(frames)]

    def flicker(images: list[Tensor]) -> float:
        return float((images[-1][..., 8:-12] - images[-2][..., 11:-9]).abs().mean())

    assert flicker(_steadied(frames, pictures, 0.9)) < 0.5 * flicker(pictures)


def test_a_picture_as_steady_as_its_clip_stays_as_it_is_and_as_sharp(photo: Tensor) -> None:
    frames = [photo[:, 100:220, 100 + 3 * number : 260 + 3 * number] for number in range(6)]
    shown = _steadied(frames, frames, 0.9)[-1]
    assert float((shown - frames[-1]).abs().mean()) < 0.01
    assert float(shown.diff(dim=-1).square().mean() / frames[-1].diff(dim=-1).square().mean()) > 0.9


def test_nothing_of_the_scene_before_is_left_after_a_cut(photo: Tensor) -> None:
    first, second = photo[:, :120, :160], 1 - photo[:, 200:320, 300:460]
    shown = _steadied([first, second], [first, second], 0.9)[1]
    assert float((shown - second).abs().mean()) < 0.02


def test_what_was_hidden_comes_as_it_is(photo: Tensor) -> None:
    behind, front = photo[:, 100:260, 200:420], torch.zeros(3, 60, 60)
    frames = []
    for number in range(4):
        frame = behind.clone()
        frame[:, 50:110, 40 + 8 * number : 100 + 8 * number] = front
        frames.append(frame)
    shown = _steadied(frames, frames, 0.9)[-1]
    uncovered = (slice(None), slice(50, 110), slice(40, 64))
    assert float((shown[uncovered] - frames[-1][uncovered]).abs().mean()) < 0.03


def test_a_share_of_0_leaves_pictures_as_they_are(photo: Tensor) -> None:
    assert all(torch.equal(a, b) for a, b in zip(_steadied([photo] * 2, [photo] * 2, 0.0), [photo] * 2, strict=True))


def test_it_goes_on_from_its_state(photo: Tensor) -> None:
    frames = [photo[:, 100:221, 100 + 2 * number : 233 + 2 * number] for number in range(4)]
    whole, first = Steadying(0.8), Steadying(0.8)
    expected = [whole(frame, frame) for frame in frames]
    for frame in frames[:2]:
        first(frame, frame)
    second = Steadying(0.8, last=first.last)
    assert all(torch.equal(second(frame, frame), other) for frame, other in zip(frames[2:], expected[2:], strict=True))


def test_pictures_may_be_larger_than_frames(photo: Tensor) -> None:
    large = photo.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    assert _steadied([photo] * 2, [large] * 2, 0.8)[1].shape == large.shape


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="expected steady from 0"):
        Steadying(share)
