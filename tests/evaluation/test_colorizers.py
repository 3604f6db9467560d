"""A colorizer over held-out photographs, beside guesses without a network; skimage and torchmetrics judge."""

from pathlib import Path

import pytest
import skimage.color
import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy

from impasto.color import lab
from impasto.evaluation.colour import ColourError, colorizer_of, mean_chroma, measure_colorizer, measure_guesses, tinted
from impasto.images import is_grey, read_image, write_image
from impasto.networks import Colorizer, Prediction, Trained

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
    assert found.error == pytest.approx(guess.error, rel=1e-4)


def test_a_guess_without_colour_has_the_error_that_skimage_says(tmp_path: Path) -> None:
    paths = _photographs(tmp_path, 2)
    found = measure_guesses(paths, [0, 0], torch.zeros(1, 2, 1, 1))
    expected, noise = [], []
    for path in paths:
        truth = skimage.color.rgb2lab(read_image(path).permute(1, 2, 0).double().numpy())
        grey = truth * [1, 0, 0]
        expected.append(skimage.color.deltaE_ciede2000(grey, truth).mean())
        noise.append(-10 * torch.tensor(((truth - grey)[..., 1:] / 200) ** 2).mean().log10())
    assert found["grey"].error.ciede2000 == pytest.approx(sum(expected) / 2, rel=1e-3)
    assert found["grey"].error.psnr_ab == pytest.approx(float(sum(noise)) / 2, rel=1e-3)
    assert found["grey"].error.colourfulness < 0.1
    assert found["mean chroma"].error == pytest.approx(found["grey"].error)  # of a chroma that is zero


def test_the_truth_has_no_error_and_the_mean_chroma_less_than_grey(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    generator = torch.Generator().manual_seed(2)
    for path, photo in zip(paths, torch.rand(2, 3, 20, 30, generator=generator) * 0.2 + 0.2, strict=True):
        write_image(path, photo + torch.tensor([0.4, 0.1, 0.0])[:, None, None])
    found = measure_guesses(paths, [0, 1], mean_chroma(map(read_image, paths)))
    assert list(found) == ["grey", "mean chroma", "truth"]
    assert found["truth"].error.ciede2000 == 0 and found["truth"].error.psnr_rgb == torch.inf
    assert found["mean chroma"].error.ciede2000 < found["grey"].error.ciede2000
    assert found["truth"].error.colourfulness > 20


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
    assert (found["mean chroma"].top1, found["mean chroma"].top5) == (pytest.approx(top1), pytest.approx(top5))
    assert found["grey"].top1 is None and found["truth"].top5 is None


def test_scenes_are_counted_as_torchmetrics_counts_them(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(9, 7, generator=generator), [3, 1, -1, 6, 2, 2, -1, 5, 0]
    logits[3, 6] = 9.0
    (path,) = _photographs(tmp_path, 1)
    found = measure_colorizer(Trained(_Told(logits), CARD), [path] * 9, labels)
    for k, share in ((1, found.top1), (5, found.top5)):
        expected = multiclass_accuracy(
            logits, torch.tensor(labels), num_classes=7, top_k=k, average="micro", ignore_index=-1
        )
        assert 0 < float(expected) < 1 and share == pytest.approx(float(expected))


def test_a_network_that_cannot_decide_is_not_given_every_scene(tmp_path: Path) -> None:
    (path,) = _photographs(tmp_path, 1)
    found = measure_colorizer(Trained(_Told(torch.zeros(7, 7)), CARD), [path] * 7, list(range(7)))
    assert found.top1 == pytest.approx(1 / 7) and found.top5 == pytest.approx(5 / 7)


@pytest.mark.parametrize("global_features", [True, False])
def test_where_no_scene_is_told_or_known_there_is_no_share(tmp_path: Path, global_features: bool) -> None:
    paths = _photographs(tmp_path, 2)
    trained = _one_chroma(torch.zeros(2), global_features=global_features)
    labels = [-1, -1] if global_features else [0, 1]
    found = measure_colorizer(trained, paths, labels)
    assert found.top1 is None and found.top5 is None and isinstance(found.error, ColourError)


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
