"""Laws of colouring: any size, lightness kept, the photograph's colours unseen, the network's where it put them."""

import numpy as np
import pytest
import skimage.color
import torch
from torch import Tensor

from impasto.color import CODES
from impasto.colorization import colorize, working_size
from impasto.networks.colorizer import Colorizer, Prediction

SIZES = [(1, 1), (1, 47), (33, 47), (100, 7)]
EACH_CODE = pytest.mark.parametrize("name", CODES)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _network(channels: int = 2, *, global_features: bool = True) -> Colorizer:
    torch.manual_seed(0)
    network = Colorizer(
        width=4, classes=3, channels=channels, global_size=32, mean=0.45, global_features=global_features
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)  # colours and scenes that differ from photo to photo
    return network.eval()


class _Fake:
    """Remembers what it was shown, and predicts what it was told, at half the size."""

    def __init__(self, *values: float) -> None:
        self.values = torch.tensor(values)[:, None, None]
        self.seen: list[Tensor | None] = []

    def __call__(self, lightness: Tensor, other: Tensor | None) -> Prediction:
        self.seen = [lightness, other]
        n, _, h, w = lightness.shape
        return Prediction(self.values.expand(n, -1, h // 2, w // 2), None)


def _lightness(image: Tensor, name: str) -> Tensor:
    """By scikit-image, in [0, 1]."""
    pixels = image.permute(0, 2, 3, 1).double().numpy()
    values = skimage.color.rgb2lab(pixels)[..., 0] / 100 if name == "lab" else skimage.color.rgb2yuv(pixels)[..., 0]
    return torch.from_numpy(np.ascontiguousarray(values))


# ---------------------------------------------------------------- sizes


@EACH_CODE
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("size", [None, 32])
@torch.inference_mode()
def test_photographs_of_any_size_keep_it_and_their_lightness(
    name: str, height: int, width: int, size: int | None
) -> None:
    code = CODES[name]()
    for count in (1, 3):
        photo = _random(count, 3, height, width)
        found = colorize(_network(code.channels), photo, code=code, size=size)
        assert found.image.shape == photo.shape and found.image.dtype == torch.float32
        assert found.image.min() >= 0 and found.image.max() <= 1
        torch.testing.assert_close(_lightness(found.image, name), _lightness(photo, name), rtol=0, atol=1e-3)
        h, w = working_size(height, width, size)
        assert found.prediction.colour.shape == (count, code.channels, h // 2, w // 2)
        assert found.prediction.logits is not None and found.prediction.logits.shape == (count, 3)


@pytest.mark.parametrize("size", [None, 8, 40, 224, 225])
@pytest.mark.parametrize(("height", "width"), [*SIZES, (480, 640), (1365, 2048), (8, 4000), (1, 1000), (1000, 1)])
def test_the_working_size_is_near_the_wanted_one_in_multiples_of_8(height: int, width: int, size: int | None) -> None:
    h, w = working_size(height, width, size)
    assert h % 8 == 0 and w % 8 == 0 and min(h, w) >= 8
    assert abs(min(h, w) - (size or min(height, width))) <= 4 or min(h, w) == 8
    scale = 1 if size is None else size / min(height, width)
    longest = np.inf if size is None else 8 * min(h, w)
    assert abs(max(h, w) - min(longest, scale * max(height, width))) <= 4 or max(h, w) == 8
    assert (h > w) == (height > width) or h == w
    assert working_size(width, height, size) == (w, h)


@pytest.mark.parametrize(
    ("before", "size", "after"),
    [
        ((480, 640), 224, (224, 296)),
        ((33, 47), None, (32, 48)),
        ((1, 1), None, (8, 8)),
        ((1, 1), 224, (224, 224)),
        ((1, 1000), 224, (224, 1792)),
        ((1000, 1), 224, (1792, 224)),
        ((256, 256), 224, (224, 224)),
    ],
)
def test_the_working_size_of_some_photographs(
    before: tuple[int, int], size: int | None, after: tuple[int, int]
) -> None:
    assert working_size(*before, size) == after


@pytest.mark.parametrize("height", [1, 3, 40])
def test_a_strip_costs_no_more_than_eight_squares(height: int) -> None:
    network = _Fake(0.5, 0.5)
    colorize(network, _random(1, 3, height, 3000), code=CODES["lab"](), size=16)
    assert network.seen[0] is not None and network.seen[0].shape == (1, 1, 16, 128)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (8, 8)])
def test_a_photograph_of_the_working_size_is_seen_as_it_is(height: int, width: int) -> None:
    network, code, photo = _Fake(0.5, 0.5), CODES["lab"](), _random(2, 3, height, width)
    colorize(network, photo, code=code)
    assert network.seen[0] is not None and torch.equal(network.seen[0], code.lightness(photo))


@EACH_CODE
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("size", [None, 8, 64])
def test_the_network_sees_lightness_between_0_and_1(name: str, height: int, width: int, size: int | None) -> None:
    code = CODES[name]()
    network, photo = _Fake(*[0.5] * code.channels), (_random(3, 1, height, width) > 0.5).float().expand(-1, 3, -1, -1)
    colorize(network, photo, code=code, size=size, global_photo=1 - photo)
    seen, other = network.seen
    assert seen is not None and seen.shape == (3, 1, *working_size(height, width, size))
    assert seen.min() >= 0 and seen.max() <= 1
    assert other is not None and other.min() >= 0 and other.max() <= 1
    if photo.numel() > 100:
        assert seen.std() > 0.01


def test_a_flat_photograph_is_flat_at_the_working_size() -> None:
    network, code = _Fake(0.5, 0.5), CODES["lab"]()
    colorize(network, torch.full((1, 3, 100, 7), 0.3), code=code, size=40)
    assert network.seen[0] is not None
    expected = code.lightness(torch.full((1, 3, 1, 1), 0.3)).expand_as(network.seen[0])
    torch.testing.assert_close(network.seen[0], expected, rtol=0, atol=1e-5)


# ---------------------------------------------------------------- colours


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("size", [None, 24])
def test_a_network_of_one_colour_gives_that_colour(height: int, width: int, size: int | None) -> None:
    photo = 0.4 + 0.2 * _random(2, 3, height, width)
    found = colorize(_Fake(0.6, 0.425), photo, code=CODES["lab"](), size=size)
    lab = skimage.color.rgb2lab(found.image.permute(0, 2, 3, 1).double().numpy())
    np.testing.assert_allclose(lab[..., 1], 20, atol=0.02)  # (2 x 0.6 - 1) 100
    np.testing.assert_allclose(lab[..., 2], -15, atol=0.02)


@pytest.mark.parametrize(("height", "width"), [(33, 47), (100, 16)])
def test_colours_lie_where_the_network_put_them(height: int, width: int) -> None:
    def network(lightness: Tensor, other: Tensor | None) -> Prediction:
        n, _, h, w = lightness.shape
        colour = torch.full((n, 2, h // 2, w // 2), 0.5)
        colour[:, 0, : h // 4] = 0.6  # red above
        colour[:, 1, :, : w // 4] = 0.4  # blue on the left
        return Prediction(colour, None)

    photo = torch.full((1, 3, height, width), 0.5)
    found = colorize(network, photo, code=CODES["lab"](), size=32)
    lab = skimage.color.rgb2lab(found.image[0].permute(1, 2, 0).double().numpy())
    top, left = height // 3, width // 3
    for rows, red in ((slice(0, top), 20), (slice(-top, None), 0)):
        for columns, blue in ((slice(0, left), -20), (slice(-left, None), 0)):
            np.testing.assert_allclose(lab[rows, columns, 1], red, atol=0.05)
            np.testing.assert_allclose(lab[rows, columns, 2], blue, atol=0.05)


@EACH_CODE
@pytest.mark.parametrize("size", [None, 24])
@torch.inference_mode()
def test_a_photograph_in_colour_and_its_grey_version_give_the_same(name: str, size: int | None) -> None:
    code, photo = CODES[name](), _random(1, 3, 33, 47)
    grey = code.decode(photo, torch.full((1, code.channels, 33, 47), 0.5))
    assert (photo - grey).abs().mean() > 0.05
    network = _network(code.channels)
    found, expected = (colorize(network, x, code=code, size=size).image for x in (photo, grey))
    torch.testing.assert_close(found, expected, rtol=0, atol=1 / 255)
    assert (found - grey).abs().mean() > 0.01  # the network gives colours


def test_the_prediction_is_the_networks_own() -> None:
    told = Prediction(_random(1, 2, 16, 24), _random(1, 5))
    found = colorize(lambda lightness, other: told, _random(1, 3, 33, 47), code=CODES["lab"]())
    assert found.prediction is told


def test_a_network_in_bfloat16_keeps_the_lightness_exact() -> None:
    photo = _random(1, 3, 33, 47)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = colorize(_network(), photo, code=CODES["lab"](), size=32)
    assert found.prediction.colour.dtype == torch.bfloat16
    assert found.image.dtype == torch.float32
    torch.testing.assert_close(_lightness(found.image, "lab"), _lightness(photo, "lab"), rtol=0, atol=1.2e-4)


def test_colouring_does_not_change_the_photograph() -> None:
    photo, other = _random(1, 3, 33, 47), _random(1, 3, 20, 9, seed=1)
    before = photo.clone(), other.clone()
    colorize(_network(), photo, code=CODES["lab"](), size=8, global_photo=other)
    assert torch.equal(photo, before[0]) and torch.equal(other, before[1])


# ---------------------------------------------------------------- global features of another photograph


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 64)])
@torch.inference_mode()
def test_global_features_of_the_photograph_itself_change_nothing(height: int, width: int) -> None:
    network, code, photo = _network(), CODES["lab"](), _random(2, 3, height, width)
    found = colorize(network, photo, code=code, global_photo=photo)
    expected = colorize(network, photo, code=code)
    torch.testing.assert_close(found.image, expected.image, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.prediction.logits, expected.prediction.logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("other", [(3, 3, 1, 1), (3, 3, 19, 200), (3, 3, 33, 47)])
@torch.inference_mode()
def test_global_features_come_from_the_other_photograph_and_lightness_from_this(other: tuple[int, ...]) -> None:
    network, code, photo = _network(), CODES["lab"](), 0.5 * _random(3, 3, 33, 47)
    found = colorize(network, photo, code=code, size=32, global_photo=0.5 + 0.5 * _random(*other, seed=1))
    alone = colorize(network, photo, code=code, size=32)
    assert found.prediction.logits is not None and alone.prediction.logits is not None
    assert not torch.allclose(found.prediction.colour, alone.prediction.colour, atol=1e-6)
    assert not torch.allclose(found.prediction.logits[:1], alone.prediction.logits[:1], atol=1e-6)
    torch.testing.assert_close(_lightness(found.image, "lab"), _lightness(photo, "lab"), rtol=0, atol=1.2e-4)


@torch.inference_mode()
def test_without_global_features_another_photograph_changes_nothing() -> None:
    network, code, photo = _network(global_features=False), CODES["lab"](), _random(1, 3, 33, 47)
    found = colorize(network, photo, code=code, global_photo=_random(1, 3, 20, 9, seed=1))
    assert found.prediction.logits is None
    assert torch.equal(found.image, colorize(network, photo, code=code).image)
