"""Tests of the loss of colorization: the joint loss of the paper, unknown scenes, rare colours, the perceptual term."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.color
import torch
from tiny import tiny_vgg
from torch import Tensor

from impasto.color import CODES, colour_code
from impasto.features import VGG
from impasto.images import read_image, write_image
from impasto.losses import UNKNOWN, ColorizationLoss, PerceptualLoss, RareColours, mean_square
from impasto.networks.colorizer import Colorizer, Prediction

TERMS = ("colour", "class", "perceptual")
ALPHA = 1 / 300
LABEL = torch.tensor([4, 0, 2])


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _loss(
    features: VGG | None = None,
    *,
    color_space: str = "lab",
    weights: Mapping[str, float] | None = None,
    rare_colours: Callable[[Tensor], Tensor] | None = None,
    perceptual: Callable[[VGG], PerceptualLoss] | None = None,
) -> ColorizationLoss:
    return ColorizationLoss(
        features,
        color_space=color_space,
        weights={"colour": 1.0, "class": ALPHA, "perceptual": 0.0} if weights is None else weights,
        rare_colours=rare_colours,
        perceptual=perceptual,
    )


def _weights(**given: float) -> dict[str, float]:
    return dict.fromkeys(TERMS, 0.0) | {name.rstrip("_"): weight for name, weight in given.items()}


def _content(features: VGG) -> PerceptualLoss:
    return PerceptualLoss(
        features,
        None,
        content_layers={"relu2_2": 1.0},
        style_layers={},
        weights={"content": 1.0, "style": 0.0, "tv": 0.0},
        content_distance=mean_square,
        style_distance=mean_square,
    )


def _prediction(count: int = 3, channels: int = 2, side: int = 8) -> Prediction:
    return Prediction(
        _random(count, channels, side, side + 4, seed=1).requires_grad_(),
        (4 * _random(count, 5, seed=2)).requires_grad_(),
    )


def _photos(count: int = 3, side: int = 16) -> Tensor:
    return _random(count, 3, side, side + 8)


def _reference_code(image: Tensor, color_space: str) -> Tensor:
    """By scikit-image: (N, channels, H, W) in [0, 1]."""
    pixels = image.permute(0, 2, 3, 1).double().numpy()
    if color_space == "lab":
        pixels = (skimage.color.rgb2lab(pixels)[..., 1:] + 100) / 200
    elif color_space == "yuv":
        pixels = skimage.color.rgb2yuv(pixels)[..., 1:] / (2 * np.array([0.436, 0.615])) + 0.5
    return torch.from_numpy(pixels.clip(0, 1).transpose(0, 3, 1, 2).copy())


def _halved(image: Tensor) -> Tensor:
    """The mean of each two by two pixels."""
    return (image[..., ::2, ::2] + image[..., 1::2, ::2] + image[..., ::2, 1::2] + image[..., 1::2, 1::2]) / 4


def _reference_class(logits: Tensor, label: Tensor) -> float:
    """Iizuka 2016: -(y[l] - log sum_i exp y[i]), 0 where the scene is not known; the mean over the photographs."""
    pairs = [(y.tolist(), int(k)) for y, k in zip(logits.double(), label, strict=True)]
    return float(np.mean([(np.log(np.exp(y).sum()) - y[k]) * (k >= 0) for y, k in pairs]))


# ---------------------------------------------------------------- the joint loss


@pytest.mark.parametrize("color_space", CODES)
def test_terms_are_the_formula_of_the_paper(color_space: str) -> None:
    prediction, photos = _prediction(channels=CODES[color_space]().channels), _photos()
    terms = _loss(color_space=color_space, weights=_weights(colour=3.0, class_=ALPHA))(prediction, photos, LABEL)
    truth = _halved(_reference_code(photos, color_space))
    assert prediction.logits is not None
    assert set(terms) == {"colour", "class"}
    assert all(term.dtype == torch.float32 and term.shape == () for term in terms.values())
    colour = (prediction.colour - truth).square().mean().item()
    assert terms["colour"].item() == pytest.approx(3 * colour, rel=1e-3)
    assert terms["class"].item() == pytest.approx(ALPHA * _reference_class(prediction.logits, LABEL), rel=1e-5)


@pytest.mark.parametrize("color_space", CODES)
def test_colour_is_zero_for_the_truth(color_space: str) -> None:
    photos, code = _photos(), CODES[color_space]()
    prediction = Prediction(_halved(code.encode(photos)), None)
    assert _loss(color_space=color_space)(prediction, photos, LABEL)["colour"].item() == pytest.approx(0, abs=1e-12)


def test_alpha_makes_the_class_term_of_a_guess_as_large_as_the_papers() -> None:
    guess = Prediction(torch.full((3, 2, 8, 12), 0.5), torch.zeros(3, 205))
    assert _loss()(guess, _photos(), LABEL)["class"].item() == pytest.approx(np.log(205) / 300, rel=1e-5)


def test_batch_of_three_is_the_mean_of_its_photographs() -> None:
    loss, prediction, photos = _loss(), _prediction(), _photos()
    assert prediction.logits is not None
    together = loss(prediction, photos, LABEL)
    singles = [
        loss(Prediction(prediction.colour[k], prediction.logits[k]), photos[k], LABEL[k])
        for k in (slice(i, i + 1) for i in range(3))
    ]
    for name, value in together.items():
        torch.testing.assert_close(value, torch.stack([terms[name] for terms in singles]).mean())


@pytest.mark.parametrize(("height", "width"), [(33, 47), (8, 100), (17, 9)])
def test_a_prediction_of_any_size_is_compared_at_its_size(height: int, width: int) -> None:
    photos = torch.tensor([0.7, 0.5, 0.3])[:, None, None].expand(1, -1, height, width)
    prediction = Prediction(torch.full((1, 2, 16, 24), 0.5), None)
    truth = _reference_code(photos[..., :1, :1], "lab")
    expected = (truth - 0.5).square().mean().item()
    assert _loss()(prediction, photos, LABEL[:1])["colour"].item() == pytest.approx(expected, rel=1e-3)


def test_terms_of_a_bfloat16_prediction_are_float32_and_near() -> None:
    loss, prediction, photos = _loss(), _prediction(), _photos()
    assert prediction.logits is not None
    exact = loss(prediction, photos, LABEL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        short = loss(Prediction(prediction.colour.bfloat16(), prediction.logits.bfloat16()), photos, LABEL)
        same = loss(prediction, photos, LABEL)
    for name in exact:
        assert short[name].dtype == torch.float32
        assert short[name].item() == pytest.approx(exact[name].item(), rel=0.01)
        assert torch.equal(same[name], exact[name])


def test_state_dict_holds_neither_the_loss_network_nor_the_weights_of_colours(tmp_path: Path) -> None:
    loss = _loss(
        tiny_vgg(), weights=_weights(colour=1, perceptual=1), rare_colours=_rare(tmp_path), perceptual=_content
    )
    assert loss.state_dict() == {}
    assert list(loss.parameters()) == []


# ---------------------------------------------------------------- scenes that nobody told


def test_photographs_of_unknown_scene_are_left_out_of_the_class_term() -> None:
    prediction, label = _prediction(), torch.tensor([4, UNKNOWN, 2])
    assert prediction.logits is not None
    terms = _loss()(prediction, _photos(), label)
    assert terms["class"].item() == pytest.approx(ALPHA * _reference_class(prediction.logits, label), rel=1e-5)
    terms["class"].backward()
    assert prediction.logits.grad is not None
    assert prediction.logits.grad[1].abs().max() == 0
    assert prediction.logits.grad[[0, 2]].abs().amin(dim=1).min() > 0


def test_the_terms_do_not_depend_on_how_a_batch_is_split() -> None:
    prediction, photos, label = _prediction(), _photos(), torch.tensor([4, UNKNOWN, 2])
    assert prediction.logits is not None
    whole, parts = _loss()(prediction, photos, label), {"colour": 0.0, "class": 0.0}
    for part in (slice(0, 2), slice(2, 3)):
        some = Prediction(prediction.colour[part], prediction.logits[part])
        for name, value in _loss()(some, photos[part], label[part]).items():
            parts[name] += value.item() * len(label[part]) / 3
    assert {name: value.item() for name, value in whole.items()} == pytest.approx(parts, rel=1e-5)


def test_all_scenes_unknown_give_zero_and_no_gradient_to_the_logits() -> None:
    prediction, label = _prediction(), torch.full((3,), UNKNOWN)
    assert prediction.logits is not None
    terms = _loss()(prediction, _photos(), label)
    assert terms["class"] == 0
    assert terms["colour"] > 0
    torch.stack(list(terms.values())).sum().backward()
    assert prediction.logits.grad is not None and prediction.logits.grad.abs().max() == 0
    assert prediction.colour.grad is not None and prediction.colour.grad.abs().min() > 0


def test_without_logits_there_is_no_class_term() -> None:
    prediction, photos = _prediction(), _photos()
    terms = _loss()(Prediction(prediction.colour, None), photos, LABEL)
    assert terms["class"] == 0
    assert torch.equal(terms["colour"], _loss()(prediction, photos, LABEL)["colour"])


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("term", TERMS)
def test_weight_scales_its_term_and_no_other(term: str) -> None:
    prediction, photos, features = _prediction(), _photos(), tiny_vgg()
    ones = dict.fromkeys(TERMS, 1.0)
    before = _loss(features, weights=ones, perceptual=_content)(prediction, photos, LABEL)
    after = _loss(features, weights=ones | {term: 3.5}, perceptual=_content)(prediction, photos, LABEL)
    assert set(before) == set(TERMS)
    for name in TERMS:
        assert before[name] > 0
        torch.testing.assert_close(after[name], before[name] * (3.5 if name == term else 1.0))


@pytest.mark.parametrize("term", TERMS)
def test_a_term_of_weight_0_is_0_or_absent_and_gives_no_gradient(term: str) -> None:
    prediction = _prediction()
    weights = dict.fromkeys(TERMS, 1.0) | {term: 0.0}
    terms = _loss(tiny_vgg(), weights=weights, perceptual=_content)(prediction, _photos(), LABEL)
    assert set(terms) == {"colour", "class"} | ({"perceptual"} - {term})
    torch.stack(list(terms.values())).sum().backward()
    if term != "perceptual":
        assert terms[term] == 0
    if term == "class":
        assert prediction.logits is not None and prediction.logits.grad is None


def test_a_perceptual_term_of_weight_0_builds_no_loss_network() -> None:
    def never(features: VGG) -> PerceptualLoss:
        raise AssertionError("the perceptual loss was built")

    assert _loss(None, perceptual=never).perceptual is None


def test_rare_colours_of_a_colour_term_of_weight_0_are_not_asked() -> None:
    def never(target: Tensor) -> Tensor:
        raise AssertionError("the weights were asked")

    terms = _loss(weights=_weights(class_=1.0), rare_colours=never)(_prediction(), _photos(), LABEL)
    assert terms["colour"] == 0 and terms["class"] > 0


# ---------------------------------------------------------------- the perceptual term


def _reference_features(features: VGG, image: Tensor) -> Tensor:
    return features(image, ["relu2_2"])["relu2_2"].double()


def test_the_perceptual_term_compares_features_of_the_painted_and_the_true_picture() -> None:
    features, photos = tiny_vgg(), 0.4 + 0.2 * _photos()
    colour = 0.45 + 0.1 * _random(3, 2, 8, 12, seed=1)
    small = _halved(photos)
    lightness = skimage.color.rgb2lab(small.permute(0, 2, 3, 1).double().numpy())[..., :1]
    chroma = (colour.permute(0, 2, 3, 1).double().numpy() * 2 - 1) * 100
    painted = torch.from_numpy(skimage.color.lab2rgb(np.concatenate([lightness, chroma], axis=-1))).permute(0, 3, 1, 2)
    expected = (_reference_features(features, painted.float()) - _reference_features(features, small)).square().mean()
    loss = _loss(features, weights=_weights(perceptual=0.25), perceptual=_content)
    found = loss(Prediction(colour, None), photos, LABEL)["perceptual"]
    assert found.item() == pytest.approx(0.25 * expected.item(), rel=2e-3)


@pytest.mark.parametrize("color_space", CODES)
def test_the_perceptual_term_is_zero_for_the_truth(color_space: str) -> None:
    photos, code = 0.3 + 0.4 * _photos(), CODES[color_space]()
    loss = _loss(tiny_vgg(), color_space=color_space, weights=_weights(perceptual=1.0), perceptual=_content)
    truth, wrong = code.encode(_halved(photos)), _random(3, code.channels, 8, 12)
    found, other = (loss(Prediction(x, None), photos, LABEL)["perceptual"].item() for x in (truth, wrong))
    assert found < 1e-4 * other


@pytest.mark.parametrize("color_space", CODES)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_the_perceptual_terms_gradient_is_finite_for_black_and_white_too(color_space: str, level: float) -> None:
    code = CODES[color_space]()
    colour = _random(1, code.channels, 8, 8).requires_grad_()
    loss = _loss(tiny_vgg(), color_space=color_space, weights=_weights(perceptual=1.0), perceptual=_content)
    loss(Prediction(colour, None), torch.full((1, 3, 16, 16), level), LABEL[:1])["perceptual"].backward()
    assert colour.grad is not None and colour.grad.isfinite().all()
    assert level != 0.5 or colour.grad.abs().max() > 0


@pytest.mark.parametrize("term", TERMS)
def test_gradient_reaches_the_network_and_not_the_loss_network(term: str) -> None:
    torch.manual_seed(0)
    network = Colorizer(width=2, classes=5, channels=2, global_size=32, mean=0.45, global_features=True)
    features, photos = tiny_vgg(), _random(3, 3, 32, 32)
    loss = _loss(features, weights=_weights(**{term: 1.0}), perceptual=_content)
    loss(network(loss.code.lightness(photos)), photos, LABEL)[term].backward()
    first = next(network.low.parameters()).grad
    assert first is not None and first.isfinite().all() and first.abs().max() > 0
    assert list(features.parameters()) == [] and not any(x.requires_grad for x in features.buffers())
    assert photos.grad is None


# ---------------------------------------------------------------- rare colours


BROWN, RED, GREY = (0.5, 0.4, 0.3), (0.9, 0.1, 0.1), (0.5, 0.5, 0.5)


def _photographs(folder: Path, count: int = 3) -> Path:
    """Mostly brown, a quarter grey, some red; 64 pixels wide, so that nothing is resized to count them."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image = torch.tensor(BROWN)[:, None, None].repeat(1, 48, 64)
        image[:, :12] = torch.tensor(GREY)[:, None, None]
        image[:, -1, : 8 + 8 * index] = torch.tensor(RED)[:, None]
        write_image(folder / f"{index}.png", image)
    return folder


def _rare(folder: Path, **changed: Any) -> RareColours:
    arguments = {"color_space": "lab", "photographs": [str(_photographs(folder))], "count": 100, "bins": 21}
    return RareColours(**arguments | {"mixing": 0.5} | changed)


def _weight_of(weights: RareColours, colour: tuple[float, ...], color_space: str = "lab") -> float:
    image = torch.tensor(colour)[None, :, None, None].mul(255).round() / 255
    return weights(CODES[color_space]().encode(image)).item()


@pytest.mark.parametrize("color_space", CODES)
@pytest.mark.parametrize("mixing", [0.1, 0.5])
def test_weights_of_colours_are_the_formula_of_the_paper(tmp_path: Path, color_space: str, mixing: float) -> None:
    weights = _rare(tmp_path, color_space=color_space, mixing=mixing)
    pixels = 3 * 48 * 64
    counts = np.array([3 * 12 * 64, pixels - 3 * 12 * 64 - 48, 48])  # grey, brown, red
    share = counts / pixels
    weight = 1 / ((1 - mixing) * share + mixing / 3)  # Zhang 2016, eq. 4, with Q = 3 colours that occur
    expected = weight / (share * weight).sum()
    found = [_weight_of(weights, colour, color_space) for colour in (GREY, BROWN, RED)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert found[2] > found[0] > found[1]


@pytest.mark.parametrize("color_space", CODES)
def test_the_mean_weight_over_the_counted_photographs_is_1(tmp_path: Path, color_space: str) -> None:
    for index in range(3):
        write_image(tmp_path / f"{index}.png", _random(3, 48, 64, seed=index) ** 2)
    weights = _rare(tmp_path / "more", color_space=color_space, photographs=[str(tmp_path)], bins=5)
    photos = torch.stack([read_image(path) for path in sorted(tmp_path.rglob("*.png"))])
    found = weights(CODES[color_space]().encode(photos))
    assert found.shape == (6, 1, 48, 64) and found.dtype == torch.float32
    assert found.mean().item() == pytest.approx(1, rel=1e-4)
    assert found.std() > 0.1 and found.min() > 0


def test_a_mixing_of_1_weights_all_colours_alike(tmp_path: Path) -> None:
    found = _rare(tmp_path, mixing=1.0)(_random(2, 2, 9, 7))
    torch.testing.assert_close(found, torch.ones(2, 1, 9, 7))


def test_one_bin_weights_all_colours_alike(tmp_path: Path) -> None:
    torch.testing.assert_close(_rare(tmp_path, bins=1)(_random(2, 2, 9, 7)), torch.ones(2, 1, 9, 7))


def test_the_ends_of_the_range_and_colours_that_never_occur_have_weights(tmp_path: Path) -> None:
    weights = _rare(tmp_path)
    ends = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])[:, :, None, None]
    found = weights(ends).flatten()
    assert found.isfinite().all()
    assert (found > _weight_of(weights, RED)).all()  # rarer than the rarest


@pytest.mark.parametrize(
    ("count", "read"), [(1, [0]), (2, [0, 3]), (5, [0, 1, 2, 4, 5]), (7, range(7)), (99, range(7))]
)
def test_as_many_photographs_are_counted_evenly_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, read: list[int]
) -> None:
    seen: list[int] = []

    def spy(path: Path, *, at_least: int) -> Tensor:
        seen.append(int(Path(path).stem))
        return read_image(path, at_least=at_least)

    monkeypatch.setattr("impasto.losses.colorization.read_image", spy)
    _rare(tmp_path, photographs=str(_photographs(tmp_path, 7)), count=count)
    assert seen == list(read)


def test_rare_colours_weight_the_squared_error(tmp_path: Path) -> None:
    weights, photos, prediction = _rare(tmp_path), _photos(), _prediction()
    truth = _halved(CODES["lab"]().encode(photos))
    expected = ((prediction.colour - truth).square() * weights(truth)).mean()
    found = _loss(rare_colours=weights)(prediction, photos, LABEL)["colour"]
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, _loss()(prediction, photos, LABEL)["colour"], rtol=0.01)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bins": 0}, r"expected a bin, a photograph and a mixing in \(0, 1\], got 0, "),
        ({"mixing": 0.0}, r"a mixing in \(0, 1\], got .* and 0\.0"),
        ({"mixing": 1.5}, r"a mixing in .* 1\.5"),
        ({"mixing": float("nan")}, "a mixing in .* nan"),
        ({"count": 0}, "expected a bin, a photograph"),
        ({"color_space": "labb"}, r"unknown color_space 'labb'; did you mean 'lab'\?"),
        ({"photographs": []}, "no images were given"),
    ],
)
def test_arguments_of_rare_colours_that_make_no_sense_are_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _rare(tmp_path, **changed)


def test_photographs_that_are_not_there_or_broken_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        _rare(tmp_path, photographs=[str(tmp_path / "nowhere")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty"):
        _rare(tmp_path, photographs=[str(tmp_path / "empty")])
    (tmp_path / "empty" / "letter.jpg").write_bytes(b"Dear Vincent")
    with pytest.raises(ValueError, match="none of the 1 photographs"):
        _rare(tmp_path, photographs=[str(tmp_path / "empty")])


def test_a_broken_photograph_is_left_out_of_the_count_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = _photographs(tmp_path, 3)
    whole = _rare(tmp_path, photographs=[str(folder)]).weight
    (folder / "letter.jpg").write_bytes(b"Dear Vincent")
    assert torch.equal(_rare(tmp_path, photographs=[str(folder)]).weight, whole)
    assert "letter.jpg" in caplog.text


# ---------------------------------------------------------------- errors


def test_unknown_term_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown loss term 'color'; did you mean 'colour'\?"):
        _loss(weights=_weights(colour=1.0) | {"color": 1.0})


@pytest.mark.parametrize("term", TERMS)
def test_missing_term_is_named(term: str) -> None:
    with pytest.raises(ValueError, match=f"a weight for each of colour, class, perceptual; missing: {term}"):
        _loss(weights={name: 1.0 for name in TERMS if name != term})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("LAB", "unknown color_space 'LAB'; did you mean 'lab'?"),
        ("rbg", "unknown color_space 'rbg'; did you mean 'rgb'?"),
        ("cmyk", "unknown color_space 'cmyk'; known are lab, rgb, yuv"),
        ("", "unknown color_space ''; known are lab, rgb, yuv"),
        (None, "unknown color_space 'None'; known are lab, rgb, yuv"),
        (["lab"], "unknown color_space '['lab']'; did you mean 'lab'?"),
    ],
)
def test_unknown_color_space_is_refused_with_the_nearest(name: Any, message: str) -> None:
    for build in (lambda: _loss(color_space=name), lambda: colour_code(name)):
        with pytest.raises(ValueError, match="unknown color_space") as error:
            build()
        assert str(error.value) == message


@pytest.mark.parametrize(("features", "perceptual"), [(False, True), (True, False), (False, False)])
def test_a_perceptual_weight_without_what_it_needs_is_refused(features: bool, perceptual: bool) -> None:
    with pytest.raises(ValueError, match="loss=iizuka2016_perceptual and a loss network, features="):
        _loss(
            tiny_vgg() if features else None,
            weights=_weights(colour=1.0, perceptual=1.0),
            perceptual=_content if perceptual else None,
        )
