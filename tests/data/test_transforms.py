"""Tests of the crops: sizes, ranges, and randomness that a generator decides."""

import pytest
import torch
from torch import Tensor

from impasto.data import CentreCrop, RandomCrop, Squeeze, SqueezeAndCrop
from impasto.data.batches import Transform

SHAPES = [(86, 30), (30, 86), (33, 47), (64, 64), (1, 1), (301, 997), (1200, 800)]
TRANSFORMS = [
    RandomCrop(size=64, scale=0.5, flip=True),
    CentreCrop(size=64),
    Squeeze(size=64),
    SqueezeAndCrop(squeeze=73, size=64, flip=True),
]
names = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: type(transform).__name__)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _photo(height: int, width: int, seed: int = 0) -> Tensor:
    """Black and white noise: any resize that overshoots leaves [0, 1]."""
    return torch.rand(3, height, width, generator=_generator(seed)).round()


def _ramp(height: int, width: int) -> Tensor:
    """Red rises to the right, green downwards, so that a pixel tells where it came from."""
    red = torch.linspace(0, 1, width).expand(height, width)
    green = torch.linspace(0, 1, height).unsqueeze(1).expand(height, width)
    return torch.stack([red, green, torch.zeros(height, width)])


@names
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_any_photograph_becomes_a_square_in_range(transform: Transform, height: int, width: int) -> None:
    for seed in range(3):
        result = transform(_photo(height, width), _generator(seed))
        assert result.shape == (3, 64, 64)
        assert result.dtype == torch.float32
        assert result.min() >= 0
        assert result.max() <= 1


@names
def test_photograph_itself_is_not_changed(transform: Transform) -> None:
    photo = _photo(70, 90)
    transform(photo, _generator())
    assert torch.equal(photo, _photo(70, 90))


@names
def test_constant_photograph_stays_constant(transform: Transform) -> None:
    result = transform(torch.full((3, 50, 120), 0.25), _generator())
    torch.testing.assert_close(result, torch.full((3, 64, 64), 0.25))


@names
def test_decoding_keeps_at_least_the_pixels_that_are_taken(transform: Transform) -> None:
    assert transform.at_least >= 64


# ---------------------------------------------------------------- RandomCrop


def test_flip_mirrors_about_every_second_photograph_and_no_other() -> None:
    photo = _ramp(40, 40)
    sure, never = RandomCrop(size=32, scale=1.0, flip=True), RandomCrop(size=32, scale=1.0, flip=False)
    mirrored = 0
    for seed in range(40):
        with_flip, without = sure(photo, _generator(seed)), never(photo, _generator(seed))
        assert without[0, 0, 0] < without[0, 0, -1]
        is_mirrored = bool(with_flip[0, 0, 0] > with_flip[0, 0, -1])
        assert torch.equal(with_flip, without.flip(-1) if is_mirrored else without)
        mirrored += is_mirrored
    assert 10 <= mirrored <= 30


def test_crop_side_lies_between_the_scale_and_the_whole() -> None:
    transform, photo = RandomCrop(size=32, scale=0.4, flip=False), _ramp(320, 320)
    sides = []
    for seed in range(40):
        crop = transform(photo, _generator(seed))
        across = (crop[0, 0, -1] - crop[0, 0, 0]).item() * 32 / 31
        down = (crop[1, -1, 0] - crop[1, 0, 0]).item() * 32 / 31
        assert across == pytest.approx(down, abs=0.01)
        sides.append(across)
    assert 0.37 < min(sides) < 0.5
    assert 0.9 < max(sides) < 1.03


def test_crops_reach_every_corner() -> None:
    transform, photo = RandomCrop(size=32, scale=0.5, flip=False), _ramp(128, 192)
    crops = [transform(photo, _generator(seed)) for seed in range(60)]
    assert min(crop[0].min().item() for crop in crops) < 0.05
    assert max(crop[0].max().item() for crop in crops) > 0.95
    assert min(crop[1].min().item() for crop in crops) < 0.05
    assert max(crop[1].max().item() for crop in crops) > 0.95


@pytest.mark.parametrize("scale", [0.0, -0.5, 1.01, float("nan")])
def test_scale_outside_zero_to_one_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=rf"expected a scale in \(0, 1\], got {scale}"):
        RandomCrop(size=32, scale=scale, flip=False)


# ---------------------------------------------------------------- CentreCrop and Squeeze


@pytest.mark.parametrize("transform", [CentreCrop(size=32), Squeeze(size=32)])
def test_nothing_is_random_in_validation(transform: Transform) -> None:
    photo, generator = _photo(86, 130), _generator()
    before = generator.get_state()
    assert torch.equal(transform(photo, generator), transform(photo, _generator(99)))
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (32, 97)])
def test_centre_crop_is_centred(height: int, width: int) -> None:
    crop = CentreCrop(size=32)(_ramp(height, width), _generator())
    assert crop[0].mean().item() == pytest.approx(0.5, abs=0.02)
    assert crop[1].mean().item() == pytest.approx(0.5, abs=0.02)
    shorter = min(height, width)
    assert (crop[0, 0, -1] - crop[0, 0, 0]).item() == pytest.approx(shorter / width, abs=0.06)
    assert (crop[1, -1, 0] - crop[1, 0, 0]).item() == pytest.approx(shorter / height, abs=0.06)


def test_squeeze_keeps_the_whole_photograph() -> None:
    squeezed = Squeeze(size=32)(_ramp(64, 160), _generator())
    torch.testing.assert_close(squeezed, _ramp(32, 32), rtol=0, atol=0.03)


# ---------------------------------------------------------------- SqueezeAndCrop


def test_squeezed_crop_is_a_part_of_the_squeezed_photograph() -> None:
    photo = _photo(86, 130)
    whole = Squeeze(size=40)(photo, _generator())
    for seed in range(5):
        crop = SqueezeAndCrop(squeeze=40, size=32, flip=False)(photo, _generator(seed))
        squares = whole.unfold(1, 32, 1).unfold(2, 32, 1)  # of every place, (3, 9, 9, 32, 32)
        assert (squares == crop[:, None, None]).all(dim=-1).all(dim=-1).all(dim=0).sum() == 1


def test_squeezed_crops_reach_every_place() -> None:
    transform, photo = SqueezeAndCrop(squeeze=6, size=4, flip=False), _ramp(6, 6)
    corners = {tuple(transform(photo, _generator(seed))[:2, 0, 0].mul(5).round().tolist()) for seed in range(100)}
    assert corners == {(across, down) for across in range(3) for down in range(3)}


def test_squeezed_crop_of_its_own_size_is_the_whole_photograph() -> None:
    photo = _photo(50, 70)
    crop = SqueezeAndCrop(squeeze=32, size=32, flip=False)(photo, _generator())
    assert torch.equal(crop, Squeeze(size=32)(photo, _generator()))


@pytest.mark.parametrize("size", [0, -1, 33])
def test_squeezed_crop_beyond_its_square_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"expected a size from 1 to squeeze=32, got {size}"):
        SqueezeAndCrop(squeeze=32, size=size, flip=False)
