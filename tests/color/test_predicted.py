"""Laws of colour codes: scikit-image's colours in [0, 1] there and back, lightness kept, a gradient everywhere."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import torch
from torch import Tensor

from impasto.color import CODES, ColourCode
from impasto.data import sample_path
from impasto.images import read_image, resize_longer_side

REACH = {"lab": (100.0, 100.0), "yuv": (0.436, 0.615)}
WHITE = {"lab": 100.0, "yuv": 1.0, "rgb": 1.0}
KEPT = {"lab": 0.012, "yuv": 1e-3, "rgb": 1e-3}  # lightness; the matrices of YUV have three digits
EACH_CODE = pytest.mark.parametrize("name", CODES)
EACH_CHROMA = pytest.mark.parametrize("name", REACH)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _sample(name: str) -> Tensor:
    return resize_longer_side(read_image(Path(sample_path(name))), 47)[None]


def _reference_split(image: Tensor, name: str) -> Tensor:
    """By scikit-image, in float64."""
    convert = skimage.color.rgb2lab if name == "lab" else skimage.color.rgb2yuv
    split = convert(image.permute(0, 2, 3, 1).double().numpy())
    return torch.from_numpy(np.ascontiguousarray(split.transpose(0, 3, 1, 2)))


def _reference_lightness(image: Tensor, name: str) -> Tensor:
    return _reference_split(image, name)[:, :1]


def _chroma(code: Tensor, name: str) -> Tensor:
    """What the numbers of a code mean: -reach at 0, the reach at 1."""
    return (2 * code.double() - 1) * torch.tensor(REACH[name], dtype=torch.float64)[:, None, None]


IMAGES = {
    "random": _random(3, 3, 9, 13),
    "photograph": _sample("astronaut.png"),
    "black": torch.zeros(1, 3, 5, 7),
    "white": torch.ones(1, 3, 5, 7),
    "dark": 0.02 * _random(1, 3, 33, 47, seed=2),
    "bright": 1 - 0.02 * _random(1, 3, 33, 47, seed=3),
    "extreme": (_random(1, 3, 33, 47, seed=4) > 0.5).float(),
    "one_pixel": _random(1, 3, 1, 1, seed=5),
}
CODED: dict[str, Callable[[tuple[int, ...]], Tensor]] = {
    "random": lambda shape: _random(*shape, seed=6),
    "corners": lambda shape: (_random(*shape, seed=7) > 0.5).float(),
    "zeros": torch.zeros,
    "ones": torch.ones,
}
EACH_IMAGE = pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
EACH_CODED = pytest.mark.parametrize("coded", CODED.values(), ids=CODED)


def _coded(code: ColourCode, image: Tensor, coded: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
    return coded((len(image), code.channels, *image.shape[-2:]))


# ---------------------------------------------------------------- there


@EACH_CHROMA
@pytest.mark.parametrize("image", [IMAGES["random"], IMAGES["photograph"], IMAGES["extreme"]])
def test_chroma_is_that_of_scikit_image_between_0_and_1(name: str, image: Tensor) -> None:
    reach = torch.tensor(REACH[name], dtype=torch.float64)[:, None, None]
    expected = ((_reference_split(image, name)[:, 1:] + reach) / (2 * reach)).clamp(0, 1)
    found = CODES[name]().encode(image)
    assert found.dtype == torch.float32 and found.shape == (len(image), 2, *image.shape[-2:])
    assert found.min() >= 0 and found.max() <= 1
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=5e-4)


def test_the_lab_code_is_that_of_the_official_program() -> None:
    image = IMAGES["random"]
    expected = (_reference_split(image, "lab")[:, 1:] + 100) / 200  # colorize.lua: ab = (2 s - 1) 100
    torch.testing.assert_close(CODES["lab"]().encode(image).double(), expected.clamp(0, 1), rtol=0, atol=2e-5)


@EACH_CODE
@EACH_IMAGE
def test_lightness_is_that_of_scikit_image_between_0_and_1(name: str, image: Tensor) -> None:
    found = CODES[name]().lightness(image)
    assert found.shape == (len(image), 1, *image.shape[-2:])
    torch.testing.assert_close(found.double(), _reference_lightness(image, name) / WHITE[name], rtol=0, atol=1e-5)


@EACH_CHROMA
def test_grey_is_one_half(name: str) -> None:
    grey = torch.linspace(0, 1, 48).view(1, 1, 6, 8).expand(-1, 3, -1, -1)
    torch.testing.assert_close(CODES[name]().encode(grey), torch.full((1, 2, 6, 8), 0.5), rtol=0, atol=2e-4)


def test_the_code_of_rgb_is_the_image() -> None:
    assert CODES["rgb"]().channels == 3
    assert torch.equal(CODES["rgb"]().encode(IMAGES["random"]), IMAGES["random"])


def _faces() -> Tensor:
    """The outside of the cube of RGB, where chroma is at its most: (1, 3, 6, n)."""
    steps = torch.linspace(0, 1, 33, dtype=torch.float64)
    sides = torch.cartesian_prod(steps, steps)
    faces = [
        torch.cat([sides[:, :channel], torch.full((len(sides), 1), level), sides[:, channel:]], dim=1)
        for channel in range(3)
        for level in (0.0, 1.0)
    ]
    return torch.stack(faces).permute(2, 0, 1)[None]


@EACH_CHROMA
def test_the_reach_leaves_out_the_deepest_blues_of_lab_alone(name: str) -> None:
    faces = _faces()
    chroma = _reference_split(faces, name)[0, 1:]
    beyond = chroma.abs() > torch.tensor(REACH[name], dtype=torch.float64)[:, None, None] * 1.001
    assert not beyond[0].any()
    if name == "yuv":
        assert not beyond[1].any()
        return
    assert 0 < beyond[1].double().mean() < 0.03
    blues = faces[0][:, beyond[1]]
    assert blues[2].min() > 0.9 and blues[:2].max() < 0.5
    assert chroma[1][beyond[1]].max() < -100 and chroma[1].min() > -108


# ---------------------------------------------------------------- and back


@EACH_CODE
@pytest.mark.parametrize("image", [IMAGES["photograph"], IMAGES["black"], IMAGES["white"], IMAGES["one_pixel"]])
def test_decoding_what_was_encoded_gives_the_image_back(name: str, image: Tensor) -> None:
    code = CODES[name]()
    found = code.decode(image, code.encode(image))
    assert found.dtype == torch.float32 and found.shape == image.shape
    torch.testing.assert_close(found, image, rtol=0, atol=2e-3)


@EACH_CODE
@EACH_IMAGE
@EACH_CODED
def test_decoding_keeps_the_lightness(name: str, image: Tensor, coded: Callable[[tuple[int, ...]], Tensor]) -> None:
    code = CODES[name]()
    found = code.decode(image, _coded(code, image, coded))
    assert found.min() >= 0 and found.max() <= 1
    expected = _reference_lightness(image, name)
    torch.testing.assert_close(_reference_lightness(found, name), expected, rtol=0, atol=KEPT[name])
    rounded = found.mul(255).round() / 255
    least, most = (_reference_lightness((rounded + half).clamp(0, 1), name) for half in (-0.5 / 255, 0.5 / 255))
    assert (expected > least - KEPT[name]).all() and (expected < most + KEPT[name]).all()


@EACH_CHROMA
@pytest.mark.parametrize("image", [IMAGES["photograph"], IMAGES["dark"], IMAGES["bright"]])
def test_decoded_colours_have_the_hue_of_the_code_and_no_more_chroma(name: str, image: Tensor) -> None:
    code = CODES[name]()
    wanted = _random(1, 2, *image.shape[-2:], seed=8)
    (a, b), (c, d) = (
        x.transpose(0, 1) for x in (_reference_split(code.decode(image, wanted), name)[:, 1:], _chroma(wanted, name))
    )
    size = (c**2 + d**2).sqrt()
    across, along = (a * d - b * c) / size, (a * c + b * d) / size
    unit = 3e-3 * WHITE[name]
    assert across.abs().max() < unit
    assert along.min() > -unit and (along < size + unit).all()
    assert along.max() > unit  # some colour is left


@EACH_CHROMA
def test_a_colour_that_exists_is_decoded_exactly(name: str) -> None:
    image = 0.4 + 0.2 * _random(3, 3, 9, 13)
    wanted = 0.45 + 0.1 * _random(3, 2, 9, 13, seed=1)
    found = _reference_split(CODES[name]().decode(image, wanted), name)[:, 1:]
    torch.testing.assert_close(found, _chroma(wanted, name), rtol=0, atol=2e-3 * WHITE[name])


def test_decoding_rgb_joins_the_photographs_luma_and_the_predictions_chroma() -> None:
    image, wanted = 0.4 + 0.2 * _random(3, 3, 9, 13), 0.3 + 0.2 * _random(3, 3, 9, 13, seed=1)
    found = _reference_split(CODES["rgb"]().decode(image, wanted), "yuv")
    expected = torch.cat([_reference_split(x, "yuv")[:, part] for x, part in ((image, [0]), (wanted, [1, 2]))], dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    assert (_reference_lightness(wanted, "yuv") - expected[:, :1]).abs().mean() > 0.05


@EACH_CODE
def test_vividness_multiplies_the_chroma_and_keeps_lightness_and_what_exists(name: str) -> None:
    code, image = CODES[name](), 0.4 + 0.2 * _random(1, 3, 9, 13)
    wanted, split = 0.48 + 0.04 * _random(1, code.channels, 9, 13, seed=1), "lab" if name == "lab" else "yuv"
    usual, vivid = (_reference_split(code.decode(image, wanted, vividness=gain), split) for gain in (1.0, 2.5))
    expected = torch.cat([usual[:, :1], 2.5 * usual[:, 1:]], dim=1)
    torch.testing.assert_close(vivid, expected, rtol=0, atol=6e-3 * WHITE[name])
    strong = code.decode(image, _random(1, code.channels, 9, 13, seed=2), vividness=40.0)
    assert strong.min() >= 0 and strong.max() <= 1
    lightness = _reference_lightness(strong, split) - _reference_lightness(image, split)
    assert lightness.abs().max() < KEPT[name] * 5
    assert code.lightness(code.decode(image, wanted, vividness=0.0)).sub(code.lightness(image)).abs().max() < 1e-3


@EACH_CODE
def test_codes_of_one_half_are_grey(name: str) -> None:
    code, image = CODES[name](), IMAGES["photograph"]
    found = code.decode(image, torch.full((1, code.channels, *image.shape[-2:]), 0.5))
    assert (found.amax(dim=1) - found.amin(dim=1)).max() < 0.5 / 255


@EACH_CODE
def test_colours_of_the_image_do_not_matter_its_lightness_does(name: str) -> None:
    code, image = CODES[name](), IMAGES["photograph"]
    grey = code.decode(image, torch.full((1, code.channels, *image.shape[-2:]), 0.5))
    coded = _random(1, code.channels, *image.shape[-2:])
    torch.testing.assert_close(code.lightness(grey), code.lightness(image), rtol=0, atol=1e-3)
    torch.testing.assert_close(code.decode(grey, coded), code.decode(image, coded), rtol=0, atol=0.5 / 255)


@EACH_CODE
def test_each_photograph_of_a_batch_is_decoded_by_itself(name: str) -> None:
    code, image = CODES[name](), IMAGES["random"]
    coded = _random(3, code.channels, 9, 13, seed=1)
    found = code.decode(image, coded)
    singles = [code.decode(image[i : i + 1], coded[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(found, torch.cat(singles), rtol=0, atol=1e-4)


@EACH_CODE
def test_coding_does_not_change_its_arguments(name: str) -> None:
    code, image = CODES[name](), IMAGES["extreme"].clone()
    coded = torch.ones(1, code.channels, 33, 47)
    for _ in (code.lightness(image), code.encode(image), code.decode(image, coded), code.paint(image, coded)):
        assert torch.equal(image, IMAGES["extreme"])
        assert torch.equal(coded, torch.ones_like(coded))


# ---------------------------------------------------------------- with a gradient


@EACH_CODE
@EACH_IMAGE
@EACH_CODED
def test_painting_has_a_finite_gradient(name: str, image: Tensor, coded: Callable[[tuple[int, ...]], Tensor]) -> None:
    code = CODES[name]()
    wanted = _coded(code, image, coded).requires_grad_()
    found = code.paint(image, wanted)
    assert found.shape == image.shape and found.isfinite().all()
    assert found.min() >= 0 and found.max() <= 1
    (found * _random(*found.shape, seed=9)).sum().backward()
    assert wanted.grad is not None and wanted.grad.isfinite().all()


@EACH_CODE
@EACH_CODED
def test_painting_sends_a_gradient_to_the_code_unless_all_channels_are_cut_off(
    name: str, coded: Callable[[tuple[int, ...]], Tensor]
) -> None:
    code, image = CODES[name](), 0.2 + 0.6 * IMAGES["photograph"]
    for wanted in (_coded(code, image, coded), 0.4 + 0.2 * _coded(code, image, coded)):
        wanted.requires_grad_()
        found = code.paint(image, wanted)
        (found * torch.tensor([1.0, 2.0, 4.0])[:, None, None]).sum().backward()
        assert wanted.grad is not None
        inside = ((found > 0) & (found < 1)).any(dim=1)
        assert (wanted.grad.abs().amax(dim=1)[inside] > 1e-3).all()
    assert inside.all()  # at mild colours every pixel has one


@EACH_CHROMA
def test_gradient_of_painting_agrees_with_finite_differences(name: str) -> None:
    code, image = CODES[name](), 0.3 + 0.4 * _random(1, 3, 2, 3).double()
    wanted = (0.45 + 0.1 * _random(1, 2, 2, 3, seed=1).double()).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: code.paint(image, x), wanted)


@EACH_CODE
def test_painting_is_decoding_where_the_colours_exist(name: str) -> None:
    code, image = CODES[name](), 0.4 + 0.2 * _random(1, 3, 33, 47)
    wanted = 0.45 + 0.1 * _random(1, code.channels, 33, 47, seed=1)
    torch.testing.assert_close(code.paint(image, wanted), code.decode(image, wanted), rtol=0, atol=1e-6)


def test_painting_cuts_off_colours_that_do_not_exist() -> None:
    image, wanted = IMAGES["photograph"], _random(1, 2, *IMAGES["photograph"].shape[-2:])
    split = torch.cat([_reference_split(image, "lab")[:, :1], _chroma(wanted, "lab")], dim=1)[0].permute(1, 2, 0)
    with pytest.warns(UserWarning, match="negative Z values"):  # scikit-image cuts them off likewise, and says so
        expected = skimage.color.lab2rgb(split.numpy())
    found = CODES["lab"]().paint(image, wanted)[0].permute(1, 2, 0)
    torch.testing.assert_close(found.double(), torch.from_numpy(expected), rtol=0, atol=1e-3)
    assert ((found == 0) | (found == 1)).float().mean() > 0.1


# ---------------------------------------------------------------- precision


@EACH_CODE
def test_codes_keep_their_precision_under_bfloat16_autocast(name: str) -> None:
    code, image = CODES[name](), _random(2, 3, 9, 13)
    coded = _random(2, code.channels, 9, 13, seed=1)

    def all_of_it() -> list[Tensor]:
        return [code.lightness(image), code.encode(image), code.decode(image, coded), code.paint(image, coded)]

    exact = all_of_it()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = all_of_it()
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


@EACH_CODE
def test_a_code_in_bfloat16_keeps_the_lightness(name: str) -> None:
    code, image = CODES[name](), _random(1, 3, 33, 47)
    coded = _random(1, code.channels, 33, 47, seed=1).bfloat16()
    found, exact = code.decode(image, coded), code.decode(image, coded.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        _reference_lightness(found, name), _reference_lightness(image, name), rtol=0, atol=KEPT[name]
    )
    torch.testing.assert_close(found, exact, rtol=0, atol=4 / 255)
