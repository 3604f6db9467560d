"""Tests of colour errors: against the papers' formulas, zero and infinite at equality, means over photographs."""

import math
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy

from impasto.color import lab
from impasto.evaluation.colour import (
    colorizer_of,
    colour_error,
    colourfulness,
    mean_chroma,
    measure_colorizer,
    measure_guesses,
    tinted,
)
from impasto.images import is_grey, read_image, write_image
from impasto.networks import Colorizer, Prediction, Trained


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _grey(height: int, width: int) -> Tensor:
    return _random(1, height, width).expand(3, -1, -1)


def _lab(image: Tensor) -> np.ndarray:
    lab: np.ndarray = skimage.color.rgb2lab(image.permute(1, 2, 0).double().numpy())
    return lab


def _reference_ciede2000(one: np.ndarray, other: np.ndarray) -> float:
    """Of two colours in Lab; Sharma, Wu, Dalal 2005, eq. 2 to 22, with all weights 1."""
    (l1, a1, b1), (l2, a2, b2) = one.tolist(), other.tolist()
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    c1, c2 = math.hypot((1 + g) * a1, b1), math.hypot((1 + g) * a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, (1 + g) * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180
    dl, dc, dh = l2 - l1, c2 - c1, 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2))
    lightness, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + turn / 2) % 360
    t = (
        1
        - 0.17 * math.cos(math.radians(hue - 30))
        + 0.24 * math.cos(math.radians(2 * hue))
        + 0.32 * math.cos(math.radians(3 * hue + 6))
        - 0.20 * math.cos(math.radians(4 * hue - 63))
    )
    sl = 1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    angle = math.radians(60 * math.exp(-(((hue - 275) / 25) ** 2)))
    rt = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7)) * math.sin(angle)
    return math.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rt * dc / sc * dh / sh)


def _reference_colourfulness(image: Tensor) -> float:
    """Hasler, Suesstrunk 2003, sec. 7: rg = R - G, yb = (R + G) / 2 - B; M3 = sigma_rgyb + 0.3 mu_rgyb."""
    r, g, b = np.round(image.double().numpy() * 255, 9)
    rg, yb = r - g, (r + g) / 2 - b
    sigma = math.sqrt(rg.std() ** 2 + yb.std() ** 2)
    return sigma + 0.3 * math.sqrt(rg.mean() ** 2 + yb.mean() ** 2)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("image", [_random(3, 33, 47), _grey(5, 7), torch.zeros(3, 1, 1), torch.ones(3, 4, 4)])
def test_a_picture_has_no_error_against_itself(image: Tensor) -> None:
    error = colour_error(image, image)
    assert error["ciede2000"] == 0
    assert error["psnr_ab"] == error["psnr_rgb"] == math.inf


def test_ciede2000_is_the_mean_of_the_formula() -> None:
    image, truth = _random(3, 9, 13), _random(3, 9, 13, seed=1)
    pairs = zip(_lab(image).reshape(-1, 3), _lab(truth).reshape(-1, 3), strict=True)
    expected = np.mean([_reference_ciede2000(one, other) for one, other in pairs])
    assert colour_error(image, truth)["ciede2000"] == pytest.approx(expected, rel=1e-6)


def test_ciede2000_does_not_care_which_is_the_truth() -> None:
    image, truth = _random(3, 9, 13), _random(3, 9, 13, seed=1)
    there, back = colour_error(image, truth), colour_error(truth, image)
    assert all(there[key] == pytest.approx(back[key], rel=1e-6) for key in ("ciede2000", "psnr_ab", "psnr_rgb"))
    assert there["colourfulness"] != back["colourfulness"]


def test_psnr_is_its_definition() -> None:
    image, truth = 0.2 + 0.6 * _random(3, 33, 47), 0.2 + 0.6 * _random(3, 33, 47, seed=1)
    error = colour_error(image, truth)
    rgb = (image - truth).double().square().mean().item()
    ab = np.square(_lab(image) - _lab(truth))[..., 1:].mean()
    assert error["psnr_rgb"] == pytest.approx(-10 * math.log10(rgb), abs=1e-4)
    assert error["psnr_ab"] == pytest.approx(10 * math.log10(200**2 / ab), abs=1e-3)


@pytest.mark.parametrize("shape", [(3, 9, 14), (3, 13, 9), (1, 9, 13)])
def test_pictures_of_two_sizes_are_refused_with_both(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pictures of one size, got \(3, 9, 13\) and "):
        colour_error(_random(3, 9, 13), _random(*shape))


# ---------------------------------------------------------------- colourfulness


@pytest.mark.parametrize("image", [_random(3, 33, 47), _random(3, 1, 1), _random(3, 5, 7) ** 3])
def test_colourfulness_is_the_formula_of_the_paper(image: Tensor) -> None:
    assert colourfulness(image) == pytest.approx(_reference_colourfulness(image), rel=1e-6)


@pytest.mark.parametrize("image", [_grey(33, 47), torch.zeros(3, 4, 4), torch.ones(3, 1, 1)])
def test_grey_is_not_colourful(image: Tensor) -> None:
    assert colourfulness(image) == 0


# ---------------------------------------------------------------- the mean chroma


def test_mean_chroma_is_that_of_scikit_image_and_each_photograph_counts_alike() -> None:
    photos = [_random(3, 33, 47), _random(3, 5, 7, seed=1) ** 2, _random(3, 1, 1, seed=2)]
    expected = np.mean([_lab(photo)[..., 1:].mean(axis=(0, 1)) for photo in photos], axis=0)
    found = mean_chroma(iter(photos))
    assert found.shape == (1, 2, 1, 1)
    np.testing.assert_allclose(found.flatten().numpy(), expected, atol=2e-3)


# ---------------------------------------------------------------- colorizers

CARD = {"color_space": "lab", "size": 32, "classes": list("abcdefg")}


def _photographs(folder: Path, count: int) -> list[Path]:
    generator = torch.Generator().manual_seed(3)
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        write_image(path, torch.rand(3, 33, 47 - index, generator=generator) * 0.5 + 0.25)
    return paths


def _one_chroma(chroma: Tensor, *, global_features: bool = True) -> Trained:
    """A colorizer that always says the same colour."""
    torch.manual_seed(0)
    network = Colorizer(width=2, classes=7, channels=2, global_size=32, mean=0.5, global_features=global_features)
    last = network.colour[-2]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(((chroma.flatten() + 100) / 200).logit())
    return Trained(network.eval(), CARD)


class _Told(nn.Module):
    """Says scenes from a list, one a call, and no colour."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.calls = 0

    def forward(self, lightness: Tensor, _: Tensor | None) -> Prediction:
        self.calls += 1
        return Prediction(torch.full((1, 2, 16, 16), 0.5), self.logits[self.calls - 1 : self.calls])


def test_a_network_that_says_one_colour_is_measured_like_the_guess(tmp_path: Path) -> None:
    paths = _photographs(tmp_path, 3)
    chroma = mean_chroma(map(read_image, paths))
    found = measure_colorizer(_one_chroma(chroma), paths, [0, 1, 2])
    guess = measure_guesses(paths, [0, 1, 2], chroma)["mean chroma"]
    colours = ("ciede2000", "psnr_ab", "psnr_rgb", "colourfulness")
    assert [found[key] for key in colours] == pytest.approx([guess[key] for key in colours], rel=1e-4)


def test_a_guess_without_colour_has_the_error_that_skimage_says(tmp_path: Path) -> None:
    paths = _photographs(tmp_path, 2)
    found = measure_guesses(paths, [0, 0], torch.zeros(1, 2, 1, 1))
    expected, noise = [], []
    for path in paths:
        truth = skimage.color.rgb2lab(read_image(path).permute(1, 2, 0).double().numpy())
        grey = truth * [1, 0, 0]
        expected.append(skimage.color.deltaE_ciede2000(grey, truth).mean())
        noise.append(-10 * torch.tensor(((truth - grey)[..., 1:] / 200) ** 2).mean().log10())
    assert found["grey"]["ciede2000"] == pytest.approx(sum(expected) / 2, rel=1e-3)
    assert found["grey"]["psnr_ab"] == pytest.approx(float(sum(noise)) / 2, rel=1e-3)
    assert found["grey"]["colourfulness"] < 0.1
    assert found["mean chroma"]["psnr_rgb"] == pytest.approx(found["grey"]["psnr_rgb"])  # of a chroma that is zero


def test_the_truth_has_no_error_and_the_mean_chroma_less_than_grey(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    generator = torch.Generator().manual_seed(2)
    for path, photo in zip(paths, torch.rand(2, 3, 20, 30, generator=generator) * 0.2 + 0.2, strict=True):
        write_image(path, photo + torch.tensor([0.4, 0.1, 0.0])[:, None, None])
    found = measure_guesses(paths, [0, 1], mean_chroma(map(read_image, paths)))
    assert list(found) == ["grey", "mean chroma", "truth"]
    assert found["truth"]["ciede2000"] == 0 and found["truth"]["psnr_rgb"] == torch.inf
    assert found["mean chroma"]["ciede2000"] < found["grey"]["ciede2000"]
    assert found["truth"]["colourfulness"] > 20


@pytest.mark.parametrize(
    ("labels", "top1", "top5"),
    [
        ([0, 1, 1, 2], 2 / 4, 1.0),
        ([0, 0, 0, 1, 1, 2, 3, 4, 5, 6], 3 / 10, 8 / 10),
        ([4, -1, -1, 4, 2], 2 / 3, 1.0),
        ([-1, -1], None, None),
    ],
)
def test_the_most_frequent_scenes_are_guessed(
    tmp_path: Path, labels: list[int], top1: float | None, top5: float | None
) -> None:
    (path,) = _photographs(tmp_path, 1)
    found = measure_guesses([path] * len(labels), labels, torch.zeros(1, 2, 1, 1))
    assert (found["mean chroma"]["top1"], found["mean chroma"]["top5"]) == (pytest.approx(top1), pytest.approx(top5))
    assert found["grey"]["top1"] is None and found["truth"]["top5"] is None


def test_scenes_are_counted_as_torchmetrics_counts_them(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(9, 7, generator=generator), [3, 1, -1, 6, 2, 2, -1, 5, 0]
    logits[3, 6] = 9.0
    (path,) = _photographs(tmp_path, 1)
    found = measure_colorizer(Trained(_Told(logits), CARD), [path] * 9, labels)
    for k, share in ((1, found["top1"]), (5, found["top5"])):
        expected = multiclass_accuracy(
            logits, torch.tensor(labels), num_classes=7, top_k=k, average="micro", ignore_index=-1
        )
        assert 0 < float(expected) < 1 and share == pytest.approx(float(expected))


def test_a_network_that_cannot_decide_is_not_given_every_scene(tmp_path: Path) -> None:
    (path,) = _photographs(tmp_path, 1)
    found = measure_colorizer(Trained(_Told(torch.zeros(7, 7)), CARD), [path] * 7, list(range(7)))
    assert found["top1"] == pytest.approx(1 / 7) and found["top5"] == pytest.approx(5 / 7)


@pytest.mark.parametrize("global_features", [True, False])
def test_where_no_scene_is_told_or_known_there_is_no_share(tmp_path: Path, global_features: bool) -> None:
    paths = _photographs(tmp_path, 2)
    trained = _one_chroma(torch.zeros(2), global_features=global_features)
    labels = [-1, -1] if global_features else [0, 1]
    found = measure_colorizer(trained, paths, labels)
    assert found["top1"] is None and found["top5"] is None and found["ciede2000"] is not None


def test_a_tint_keeps_the_lightness_and_has_the_chroma_that_it_is_given() -> None:
    photo = torch.rand(3, 33, 47, generator=torch.Generator().manual_seed(1)) * 0.4 + 0.3
    chroma = torch.tensor([6.0, -9.0]).view(1, 2, 1, 1)
    found = skimage.color.rgb2lab(tinted(photo, chroma).permute(1, 2, 0).double().numpy())
    truth = skimage.color.rgb2lab(photo.permute(1, 2, 0).double().numpy())
    assert found[..., 0] == pytest.approx(truth[..., 0], abs=0.02)
    assert found[..., 1] == pytest.approx(6.0, abs=0.05) and found[..., 2] == pytest.approx(-9.0, abs=0.05)
    assert is_grey(tinted(photo, torch.zeros(1, 2, 1, 1)))


def test_a_method_keeps_size_and_lightness() -> None:
    photo = torch.rand(3, 33, 47, generator=torch.Generator().manual_seed(1))
    found = colorizer_of(_one_chroma(torch.tensor([40.0, 30.0])))(photo)
    assert found.image.shape == photo.shape and found.prediction.colour.shape == (1, 2, 16, 24)
    assert (lab().split(found.image[None])[:, 0] - lab().split(photo[None])[:, 0]).abs().max() < 0.1
