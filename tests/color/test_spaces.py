"""Laws of colours: lightness stays exact, chroma stays where it can, and palettes match in mean and covariance."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import skimage.color
import torch
from torch import Tensor

from impasto.color import (
    Colours,
    MatchedColours,
    PaintingColours,
    PhotoChroma,
    Space,
    join_chroma,
    join_lightness,
    lab,
    match_colours,
    yuv,
)
from impasto.data import sample_path
from impasto.gatys import resized
from impasto.images import read_image

SPACES: dict[str, Callable[[], Space]] = {"yuv": yuv, "lab": lab}
RANGE = {"yuv": 1.0, "lab": 100.0}  # of the lightness


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _sample(name: str, height: int = 33, width: int = 47) -> Tensor:
    return resized(read_image(Path(sample_path(name)))[None], height, width)


def _reference_split(image: Tensor, space: str) -> Tensor:
    """By scikit-image."""
    convert = {"yuv": skimage.color.rgb2yuv, "lab": skimage.color.rgb2lab}[space]
    return torch.from_numpy(np.ascontiguousarray(convert(image.permute(0, 2, 3, 1).double().numpy()))).permute(
        0, 3, 1, 2
    )


def _reference_exists(split: Tensor, space: str, *, within: float) -> Tensor:
    """Where a colour lies in RGB with a margin: (N, 1, H, W)."""
    pixels = split.permute(0, 2, 3, 1).double().numpy()
    rgb = skimage.color.yuv2rgb(pixels) if space == "yuv" else _reference_linear_rgb(pixels)
    inside = ((rgb > within) & (rgb < 1 - within)).all(axis=-1)
    return torch.from_numpy(inside)[:, None]


def _reference_linear_rgb(pixels: np.ndarray) -> np.ndarray:
    """CIE 15: L*a*b*, D65, to sRGB without its transfer function, which keeps 0 and 1 where they are."""
    y = (pixels[..., 0] + 16) / 116
    roots = np.stack([y + pixels[..., 1] / 500, y, y - pixels[..., 2] / 200], axis=-1)
    xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * [0.95047, 1.0, 1.08883]
    rgb: np.ndarray = xyz @ np.linalg.inv(skimage.color.colorconv.xyz_from_rgb).T
    return rgb


PAIRS = {
    "photographs": (_sample("astronaut.png"), _sample("coffee.png")),
    "random": (_random(3, 3, 20, 30), _random(3, 3, 20, 30, seed=1)),
    "extremes": ((_random(1, 3, 20, 30) > 0.5).float(), (_random(1, 3, 20, 30, seed=1) > 0.5).float()),
    "one_pixel": (_random(1, 3, 1, 1), _random(1, 3, 1, 1, seed=1)),
}
EACH_SPACE = pytest.mark.parametrize("space", SPACES)
EACH_PAIR = pytest.mark.parametrize(("lightness_of", "chroma_of"), PAIRS.values(), ids=PAIRS)


# ---------------------------------------------------------------- spaces


@EACH_SPACE
@pytest.mark.parametrize("shape", [(1, 3, 33, 47), (3, 3, 5, 7)])
def test_split_is_that_of_scikit_image(space: str, shape: tuple[int, ...]) -> None:
    image = _random(*shape)
    expected = _reference_split(image, space)
    torch.testing.assert_close(SPACES[space]().split(image).double(), expected, rtol=0, atol=2e-3 * RANGE[space])


@EACH_SPACE
def test_joining_what_was_split_gives_the_image_back(space: str) -> None:
    image, told = _random(3, 3, 33, 47), SPACES[space]()
    torch.testing.assert_close(told.join(told.split(image)), image, rtol=0, atol=1e-3)


@EACH_SPACE
def test_grey_has_no_chroma_and_its_own_lightness(space: str) -> None:
    grey = torch.linspace(0, 1, 48).view(1, 1, 6, 8).repeat(1, 3, 1, 1)
    split = SPACES[space]().split(grey)
    assert split[:, 1:].abs().max() < 1e-3 * RANGE[space]
    lightness = split[:, 0].flatten()
    assert (lightness.diff() > 0).all()
    assert lightness[0].item() == pytest.approx(0, abs=1e-3 * RANGE[space])
    assert lightness[-1].item() == pytest.approx(RANGE[space], rel=1e-3)


@EACH_SPACE
def test_white_has_the_lightness_that_the_space_tells_and_black_none(space: str) -> None:
    told = SPACES[space]()
    assert told.white == RANGE[space]
    ends = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(-1, 3, -1, -1)
    torch.testing.assert_close(
        told.split(ends)[0, 0, 0], torch.tensor([0.0, told.white]), rtol=0, atol=1e-5 * told.white
    )


@EACH_SPACE
def test_colours_are_converted_in_at_least_float32(space: str) -> None:
    told, image = SPACES[space](), _random(1, 3, 9, 7)
    for given, expected in ((torch.float64, torch.float64), (torch.float32, torch.float32)):
        assert told.split(image.to(given)).dtype == told.join(told.split(image.to(given))).dtype == expected
    for given in (torch.bfloat16, torch.float16):
        assert torch.equal(told.split(image.to(given)), told.split(image.to(given).float()))


@EACH_SPACE
def test_colours_are_converted_exactly_under_bfloat16_autocast(space: str) -> None:
    told, image = SPACES[space](), _random(1, 3, 9, 7)
    split = told.split(image)
    exact = told.join(split), join_chroma(split[:, :1], 3 * split[:, 1:], space=told)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(told.split(image), split)
        assert torch.equal(told.join(split), exact[0])
        assert torch.equal(join_chroma(split[:, :1], 3 * split[:, 1:], space=told), exact[1])


# ---------------------------------------------------------------- lightness and chroma


@EACH_SPACE
@EACH_PAIR
def test_joined_lightness_is_exact_everywhere(space: str, lightness_of: Tensor, chroma_of: Tensor) -> None:
    joined = join_lightness(lightness_of, chroma_of, space=SPACES[space]())
    assert joined.shape == lightness_of.shape and joined.dtype == torch.float32
    assert joined.min() >= 0 and joined.max() <= 1
    found, expected = (_reference_split(x, space)[:, 0] for x in (joined, lightness_of))
    torch.testing.assert_close(found, expected, rtol=0, atol=RANGE[space] / 255)


@EACH_SPACE
@EACH_PAIR
def test_joined_chroma_is_kept_where_the_colour_exists(space: str, lightness_of: Tensor, chroma_of: Tensor) -> None:
    joined = join_lightness(lightness_of, chroma_of, space=SPACES[space]())
    wanted = _reference_split(chroma_of, space)
    wanted[:, :1] = _reference_split(lightness_of, space)[:, :1]
    exists = _reference_exists(wanted, space, within=2e-3)
    difference = (_reference_split(joined, space) - wanted)[:, 1:].abs().amax(dim=1, keepdim=True)
    assert (difference[exists] < RANGE[space] / 255).all()
    if len(lightness_of) == 1 and lightness_of.shape[-1] == 47:
        assert 0.3 < exists.double().mean() < 1  # of photographs most colours exist, and not all


@EACH_SPACE
def test_chroma_that_cannot_be_keeps_its_hue_and_is_reduced_no_more_than_needed(space: str) -> None:
    lightness_of, chroma_of = _random(1, 3, 30, 40), _random(1, 3, 30, 40, seed=1)
    joined = join_lightness(lightness_of, chroma_of, space=SPACES[space]())
    wanted = _reference_split(chroma_of, space)
    wanted[:, :1] = _reference_split(lightness_of, space)[:, :1]
    missing = ~_reference_exists(wanted, space, within=-2e-3)
    assert missing.double().mean() > 0.1
    (a, b), (c, d) = (x[:, 1:].transpose(0, 1) for x in (_reference_split(joined, space), wanted))
    size = (c**2 + d**2).sqrt()
    across, along = (a * d - b * c) / size, (a * c + b * d) / size
    assert across.abs().max() < 1.5 * RANGE[space] / 255
    assert (along > -RANGE[space] / 255).all()
    assert (along < size + RANGE[space] / 255).all()
    margin = torch.minimum(joined.amin(dim=1), 1 - joined.amax(dim=1))[missing[:, 0]]
    assert margin.max() < 2 / 255  # on the border of what exists


@EACH_SPACE
def test_an_image_joined_with_itself_is_itself(space: str) -> None:
    image = _sample("astronaut.png")
    torch.testing.assert_close(join_lightness(image, image, space=SPACES[space]()), image, rtol=0, atol=1 / 255)


@EACH_SPACE
def test_grey_lightness_with_grey_chroma_stays_grey(space: str) -> None:
    grey, other = _random(2, 1, 9, 7).repeat(1, 3, 1, 1), torch.full((2, 3, 9, 7), 0.3)
    joined = join_lightness(grey, other, space=SPACES[space]())
    torch.testing.assert_close(joined, grey, rtol=0, atol=1 / 255)


@EACH_SPACE
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_take_no_colour(space: str, level: float) -> None:
    image = torch.full((1, 3, 9, 7), level)
    torch.testing.assert_close(
        join_lightness(image, _random(1, 3, 9, 7), space=SPACES[space]()), image, rtol=0, atol=0.5 / 255
    )


@EACH_SPACE
def test_joining_does_not_change_its_arguments(space: str) -> None:
    one, other = _random(1, 3, 9, 7), _random(1, 3, 9, 7, seed=1)
    before = one.clone(), other.clone()
    join_lightness(one, other, space=SPACES[space]())
    assert torch.equal(one, before[0]) and torch.equal(other, before[1])


@EACH_SPACE
@pytest.mark.parametrize("strength", [1.0, 100.0, 1e4])
def test_chroma_far_outside_is_reduced_to_what_there_is(space: str, strength: float) -> None:
    told = SPACES[space]()
    lightness = torch.linspace(0, told.white, 48).view(1, 1, 6, 8)
    chroma = strength * told.white * (_random(1, 2, 6, 8) - 0.5)
    before = lightness.clone(), chroma.clone()
    joined = join_chroma(lightness, chroma, space=told)
    assert joined.isfinite().all() and joined.min() >= 0 and joined.max() <= 1
    found = _reference_split(joined, space)[:, :1]
    torch.testing.assert_close(found, lightness.double(), rtol=0, atol=2e-3 * told.white)
    assert torch.equal(lightness, before[0]) and torch.equal(chroma, before[1])


@EACH_SPACE
@pytest.mark.parametrize("at_once", [1, 7, 62, 63])
def test_many_colours_outside_are_reduced_in_parts_as_all_at_once(
    space: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = SPACES[space]()
    lightness, chroma = told.split(_random(1, 3, 9, 7))[:, :1], 10 * told.white * (_random(1, 2, 9, 7, seed=1) - 0.5)
    expected = join_chroma(lightness, chroma, space=told)
    monkeypatch.setattr("impasto.color.spaces._AT_ONCE", at_once)
    torch.testing.assert_close(join_chroma(lightness, chroma, space=told), expected, rtol=0, atol=1e-4)


@EACH_SPACE
def test_joining_lets_a_gradient_through(space: str) -> None:
    told = SPACES[space]()
    split = told.split(_random(1, 3, 9, 7))
    chroma = (3 * split[:, 1:]).requires_grad_()
    join_chroma(split[:, :1], chroma, space=told).square().sum().backward()
    assert chroma.grad is not None and chroma.grad.isfinite().all() and chroma.grad.abs().max() > 0


# ---------------------------------------------------------------- matching


def _soft(*size: int, seed: int, centre: float = 0.5) -> Tensor:
    """Correlated colours, so near their mean that nothing has to be clamped."""
    mixing = torch.eye(3) + 0.5 * _random(3, 3, seed=seed + 10)
    return centre + 0.15 * torch.einsum("ij,njhw->nihw", mixing, _random(1, 3, *size, seed=seed) - 0.5)


def _reference_match(image: Tensor, palette: Tensor) -> Tensor:
    """Gatys 2016, sec. 3: x -> A x + b, A = S_palette^(1/2) S_image^(-1/2), b = m_palette - A m_image."""
    x, y = (one.flatten(2)[0].double().numpy() for one in (image, palette))
    root = scipy.linalg.sqrtm(np.cov(y, bias=True)) @ np.linalg.inv(scipy.linalg.sqrtm(np.cov(x, bias=True)))
    moved = root @ x + (y.mean(axis=1) - root @ x.mean(axis=1))[:, None]
    return torch.from_numpy(moved).view(1, 3, *image.shape[-2:]).clamp(0, 1)


@pytest.mark.parametrize("size", [(33, 47), (20, 9)])
def test_matched_colours_have_the_palettes_mean_and_covariance(size: tuple[int, int]) -> None:
    image, palette = _soft(*size, seed=1, centre=0.3), _soft(18, 22, seed=2, centre=0.6)
    before = image.clone(), palette.clone()
    found, wanted = match_colours(image, palette).flatten(2)[0].double(), palette.flatten(2)[0].double()
    assert (image.mean() - palette.mean()).abs() > 0.2
    assert found.min() > 0 and found.max() < 1
    torch.testing.assert_close(found.mean(dim=1), wanted.mean(dim=1), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.cov(correction=0), wanted.cov(correction=0), rtol=0, atol=2e-5)
    assert wanted.cov(correction=0).min() > 1e-4
    assert torch.equal(image, before[0]) and torch.equal(palette, before[1])


@pytest.mark.parametrize("names", [("coffee.png", "astronaut.png"), ("astronaut.png", "chelsea.png")])
def test_matching_is_the_formula_of_the_paper(names: tuple[str, str]) -> None:
    image, palette = _sample(names[0]), _sample(names[1], 20, 30)
    found = match_colours(image, palette)
    assert found.dtype == torch.float32 and found.shape == image.shape
    torch.testing.assert_close(found.double(), _reference_match(image, palette), rtol=0, atol=0.5 / 255)


def test_an_image_matched_with_itself_is_itself() -> None:
    image = _sample("astronaut.png")
    torch.testing.assert_close(match_colours(image, image), image, rtol=0, atol=1e-5)


def test_matching_there_and_back_gives_the_image_back() -> None:
    image, palette = _soft(33, 47, seed=1), _soft(18, 22, seed=2)
    torch.testing.assert_close(match_colours(match_colours(image, palette), image), image, rtol=0, atol=1e-3)


@pytest.mark.parametrize("grey", [torch.full((1, 3, 9, 7), 0.4), _random(1, 1, 9, 7).repeat(1, 3, 1, 1)])
def test_grey_images_can_be_matched_both_ways(grey: Tensor) -> None:
    photo = _soft(33, 47, seed=1)
    coloured, drained = match_colours(grey, photo), match_colours(photo, grey)
    for found in (coloured, drained):
        assert found.isfinite().all() and found.min() >= 0 and found.max() <= 1
    torch.testing.assert_close(coloured.mean(dim=(2, 3)), photo.mean(dim=(2, 3)), rtol=0, atol=1 / 255)
    torch.testing.assert_close(drained.mean(dim=(2, 3)), grey.mean(dim=(2, 3)), rtol=0, atol=1 / 255)
    assert (drained.amax(dim=1) - drained.amin(dim=1)).max() < 0.02


# ---------------------------------------------------------------- whose colours


def test_the_paintings_colours_change_nothing() -> None:
    style, photo, result = (_random(1, 3, 9, 7, seed=seed) for seed in range(3))
    colours: Colours = PaintingColours()
    prepared = colours.prepare(style, photo)
    assert torch.equal(prepared[0], style) and torch.equal(prepared[1], photo)
    assert torch.equal(colours.finish(result, photo), result)


def test_matched_colours_change_the_style_alone() -> None:
    style, photo, result = _soft(18, 22, seed=1, centre=0.3), _soft(33, 47, seed=2), _random(1, 3, 33, 47)
    colours: Colours = MatchedColours()
    matched, same = colours.prepare(style, photo)
    assert torch.equal(same, photo)
    assert torch.equal(matched, match_colours(style, photo))
    torch.testing.assert_close(matched.mean(dim=(2, 3)), photo.mean(dim=(2, 3)), rtol=0, atol=1e-5)
    assert torch.equal(colours.finish(result, photo), result)


@EACH_SPACE
def test_grey_preparation_matches_the_styles_lightness_to_the_photographs(space: str) -> None:
    style, photo = _sample("coffee.png", 20, 30), 0.3 + 0.3 * _sample("astronaut.png")
    told = SPACES[space]()
    ours, theirs = PhotoChroma(space=told, grey=True).prepare(style, photo)
    assert ours.shape == style.shape and theirs.shape == photo.shape
    for grey in (ours, theirs):
        assert (grey.amax(dim=1) - grey.amin(dim=1)).max() < 1 / 255
        assert grey.min() >= 0 and grey.max() <= 1
    lightness, expected = (_reference_split(x, space)[:, 0] for x in (theirs, photo))
    torch.testing.assert_close(lightness, expected, rtol=0, atol=RANGE[space] / 255)
    assert ours.min() > 0 and ours.max() < 1  # nothing was clamped
    assert ours.mean().item() == pytest.approx(theirs.mean().item(), abs=1e-4)
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=1e-3)


@EACH_SPACE
def test_grey_preparation_keeps_the_pattern_of_the_style(space: str) -> None:
    style, photo = _sample("coffee.png", 20, 30), 0.3 + 0.3 * _sample("astronaut.png")
    ours, _ = PhotoChroma(space=SPACES[space](), grey=True).prepare(style, photo)
    lightness = _reference_split(style, "yuv")[0, 0].flatten()
    assert torch.corrcoef(torch.stack([ours[0, 0].flatten().double(), lightness]))[0, 1] > 0.98


@pytest.mark.parametrize("space", ["yuv", "lab"])
def test_a_style_of_one_colour_is_prepared_without_dividing_by_zero(space: str) -> None:
    photo = _sample("astronaut.png")
    ours, theirs = PhotoChroma(space=SPACES[space](), grey=True).prepare(torch.full((1, 3, 9, 7), 0.2), photo)
    torch.testing.assert_close(ours, torch.full_like(ours, float(theirs.mean())), rtol=0, atol=0.01)


def test_without_grey_the_optimisation_sees_all() -> None:
    style, photo = _random(1, 3, 9, 7), _random(1, 3, 9, 7, seed=1)
    prepared = PhotoChroma(space=yuv(), grey=False).prepare(style, photo)
    assert torch.equal(prepared[0], style) and torch.equal(prepared[1], photo)


@EACH_SPACE
@pytest.mark.parametrize("grey", [True, False])
def test_the_finished_picture_has_the_results_lightness_and_the_photographs_chroma(space: str, grey: bool) -> None:
    result, photo = _sample("coffee.png"), 0.35 + 0.3 * _sample("astronaut.png")  # mild colours, which all exist
    result = 0.3 + 0.4 * result
    finished = PhotoChroma(space=SPACES[space](), grey=grey).finish(result, photo)
    found, of_result, of_photo = (_reference_split(x, space) for x in (finished, result, photo))
    torch.testing.assert_close(found[:, :1], of_result[:, :1], rtol=0, atol=RANGE[space] / 255)
    torch.testing.assert_close(found[:, 1:], of_photo[:, 1:], rtol=0, atol=RANGE[space] / 255)
    assert (of_result - of_photo)[:, 1:].abs().max() > 10 * RANGE[space] / 255


@EACH_SPACE
def test_colours_are_converted_without_warnings(space: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        join_lightness(_random(1, 3, 9, 7), _random(1, 3, 9, 7, seed=1), space=SPACES[space]())
    assert [str(one.message) for one in seen] == []
