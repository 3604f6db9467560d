"""Tests of the perceptual loss: Gram matrices, distances, total variation, and the weighted terms."""

from collections.abc import Mapping

import pytest
import torch
from tiny import tiny_vgg
from torch import Tensor

from impasto.features import VGG
from impasto.losses import TERMS, Distance, PerceptualLoss, gram, mean_square, squared_frobenius, total_variation

SHAPES = [(1, 4, 33, 47), (3, 8, 5, 7), (2, 6, 1, 1)]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _loss(
    *,
    features: VGG | None = None,
    style: Tensor | None = None,
    content_layers: Mapping[str, float] | None = None,
    style_layers: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    content_distance: Distance = mean_square,
    style_distance: Distance = squared_frobenius,
) -> PerceptualLoss:
    return PerceptualLoss(
        tiny_vgg() if features is None else features,
        _random(1, 3, 18, 22, seed=5) if style is None else style,
        content_layers={"relu2_2": 1.0} if content_layers is None else content_layers,
        style_layers={"relu1_2": 1.0, "relu2_2": 1.0} if style_layers is None else style_layers,
        weights={"content": 1.0, "style": 1.0, "tv": 1.0} if weights is None else weights,
        content_distance=content_distance,
        style_distance=style_distance,
    )


# ---------------------------------------------------------------- Gram matrices


def _reference_gram(features: Tensor) -> Tensor:
    """Johnson 2016 eq. 3 as it stands in the paper: a sum over h and w for each pair of channels."""
    n, c, h, w = features.shape
    result = torch.zeros(n, c, c, dtype=torch.float64)
    x = features.double()
    for first in range(c):
        for second in range(c):
            result[:, first, second] = (x[:, first] * x[:, second]).sum(dim=(1, 2)) / (c * h * w)
    return result


def _raw_gram(features: Tensor) -> Tensor:
    """Gatys 2016 eq. 3: G_ij = sum_k F_ik F_jk, not normalised."""
    return torch.einsum("nihw,njhw->nij", features.double(), features.double())


@pytest.mark.parametrize("shape", SHAPES)
def test_gram_is_symmetric(shape: tuple[int, ...]) -> None:
    found = gram(_random(*shape))
    assert found.shape == (shape[0], shape[1], shape[1])
    torch.testing.assert_close(found, found.transpose(1, 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_gram_is_positive_semi_definite(shape: tuple[int, ...]) -> None:
    eigenvalues = torch.linalg.eigvalsh(gram(_random(*shape).double() - 0.5))
    assert eigenvalues.min() > -1e-12
    assert eigenvalues.max() > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_gram_equals_the_formula_of_the_paper(shape: tuple[int, ...]) -> None:
    features = _random(*shape) - 0.3
    torch.testing.assert_close(gram(features).double(), _reference_gram(features), rtol=1e-5, atol=1e-7)


def test_gram_is_exact_in_float64() -> None:
    features = _random(2, 5, 9, 11).double()
    found = gram(features)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, _reference_gram(features), rtol=1e-13, atol=1e-15)


def test_gram_under_bfloat16_autocast_stays_float32() -> None:
    features = _random(2, 16, 20, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gram(features)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, gram(features), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_gram_of_short_floats_is_computed_in_float32(dtype: torch.dtype, autocast: bool) -> None:
    features = _random(1, 16, 20, 20).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = gram(features)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), _reference_gram(features), rtol=1e-5, atol=1e-7)


def test_gram_of_float16_features_does_not_overflow() -> None:
    features = torch.full((1, 2, 40, 40), 100.0, dtype=torch.float16)  # the raw sum is 1.6e7, float16 ends at 65504
    torch.testing.assert_close(gram(features), torch.full((1, 2, 2), 100.0**2 / 2))


@pytest.mark.parametrize("tiles", [(1, 1, 1, 2), (1, 1, 3, 1), (1, 1, 2, 4)])
def test_gram_of_tiled_features_is_that_of_one_tile(tiles: tuple[int, ...]) -> None:
    features = _random(2, 6, 7, 9)
    torch.testing.assert_close(gram(features.repeat(*tiles)), gram(features))


def test_gram_of_each_image_is_its_own() -> None:
    features = _random(3, 6, 7, 9)
    torch.testing.assert_close(gram(features), torch.cat([gram(features[i : i + 1]) for i in range(3)]))


# ---------------------------------------------------------------- distances


@pytest.mark.parametrize("distance", [mean_square, squared_frobenius])
def test_distance_is_zero_at_equality_and_symmetric(distance: Distance) -> None:
    a, b = _random(3, 4, 5, 7), _random(3, 4, 5, 7, seed=1)
    assert torch.equal(distance(a, a), torch.zeros(3))
    assert torch.equal(distance(a, b), distance(b, a))
    assert distance(a, b).min() > 0


def test_content_distance_is_the_squared_norm_over_chw() -> None:
    a, b = _random(3, 4, 5, 7), _random(3, 4, 5, 7, seed=1)
    expected = torch.stack([torch.linalg.vector_norm(a[i] - b[i]) ** 2 / (4 * 5 * 7) for i in range(3)])
    torch.testing.assert_close(mean_square(a, b), expected)


def test_style_distance_is_the_squared_frobenius_norm() -> None:
    a, b = gram(_random(3, 6, 5, 7)), gram(_random(1, 6, 9, 4, seed=1))
    expected = torch.stack([torch.linalg.matrix_norm(a[i] - b[0], ord="fro") ** 2 for i in range(3)])
    torch.testing.assert_close(squared_frobenius(a, b), expected)


@pytest.mark.parametrize("channels", [3, 8])
def test_official_style_distance_is_the_papers_over_the_squared_channels(channels: int) -> None:
    a, b = gram(_random(2, channels, 5, 7)), gram(_random(2, channels, 5, 7, seed=1))
    torch.testing.assert_close(mean_square(a, b), squared_frobenius(a, b) / channels**2)


def test_gatys_style_term_is_a_quarter_of_johnsons_at_equal_sizes() -> None:
    a, b = _random(2, 6, 5, 7), _random(2, 6, 5, 7, seed=1)
    filters, positions = 6, 5 * 7
    e_l = (_raw_gram(a) - _raw_gram(b)).square().sum(dim=(1, 2)) / (4 * filters**2 * positions**2)
    torch.testing.assert_close(squared_frobenius(gram(a), gram(b)).double(), 4 * e_l, rtol=1e-4, atol=0)


@pytest.mark.parametrize("distance", [mean_square, squared_frobenius])
def test_distance_of_bfloat16_is_computed_in_float32(distance: Distance) -> None:
    a, b = _random(2, 8, 30, 30).bfloat16(), _random(2, 8, 30, 30, seed=1).bfloat16()
    assert distance(a, b).dtype == torch.float32
    torch.testing.assert_close(distance(a, b), distance(a.float(), b.float()), rtol=0, atol=0)


# ---------------------------------------------------------------- total variation


def _reference_total_variation(image: Tensor) -> float:
    """One image, pixel by pixel: (x_ij - x_i+1,j)^2 + (x_ij - x_i,j+1)^2 over all pairs of neighbours."""
    _, height, width = image.shape
    total = 0.0
    for channel in image.tolist():
        for i in range(height):
            for j in range(width):
                if i + 1 < height:
                    total += (channel[i][j] - channel[i + 1][j]) ** 2
                if j + 1 < width:
                    total += (channel[i][j] - channel[i][j + 1]) ** 2
    return total


def _reference_official_gradient(image: Tensor) -> Tensor:
    """TotalVariation.lua with strength 1: differences of all pixels but the last row and column."""
    corner, right, below = image[..., :-1, :-1], image[..., :-1, 1:], image[..., 1:, :-1]
    gradient = torch.zeros_like(image)
    gradient[..., :-1, :-1] += (corner - right) + (corner - below)
    gradient[..., :-1, 1:] -= corner - right
    gradient[..., 1:, :-1] -= corner - below
    return gradient


@pytest.mark.parametrize("shape", [(1, 3, 9, 7), (3, 3, 5, 11), (2, 3, 1, 6), (2, 3, 6, 1), (1, 3, 1, 1)])
def test_total_variation_equals_the_formula(shape: tuple[int, ...]) -> None:
    image = _random(*shape)
    expected = torch.tensor([_reference_total_variation(one) for one in image])
    torch.testing.assert_close(total_variation(image), expected)


@pytest.mark.parametrize(("height", "width"), [(6, 10), (33, 47)])
def test_total_variation_of_a_step_is_its_height_squared_times_its_length(height: int, width: int) -> None:
    image = torch.full((2, 3, height, width), 0.25)
    image[..., width // 3 :] = 0.75  # a vertical edge of half a unit in three channels
    torch.testing.assert_close(total_variation(image), torch.full((2,), 3 * height * 0.5**2))
    turned = image.transpose(2, 3)
    torch.testing.assert_close(total_variation(turned), torch.full((2,), 3 * height * 0.5**2))


def test_total_variation_of_a_constant_image_is_zero() -> None:
    assert torch.equal(total_variation(torch.full((3, 3, 33, 47), 0.7)), torch.zeros(3))


def test_total_variation_at_255_is_65025_times_larger() -> None:
    image = _random(1, 3, 9, 7)
    torch.testing.assert_close(total_variation(255 * image), 65025 * total_variation(image))


def test_gradient_of_total_variation_is_twice_the_official_codes() -> None:
    image = _random(2, 3, 9, 7).requires_grad_()
    total_variation(image).sum().backward()
    assert image.grad is not None
    expected = 2 * _reference_official_gradient(image.detach())
    # The official code drops the differences along the last row and column; away from them both agree.
    torch.testing.assert_close(image.grad[..., :-1, :-1], expected[..., :-1, :-1])
    assert not torch.allclose(image.grad, expected)


# ---------------------------------------------------------------- the loss


def test_content_is_zero_for_the_photograph_itself() -> None:
    loss, photo = _loss(content_layers={"relu1_2": 1.0, "relu2_2": 1.0}), _random(2, 3, 17, 23)
    assert loss(photo, loss.targets(photo))["content"] == 0
    assert loss(_random(2, 3, 17, 23, seed=1), loss.targets(photo))["content"] > 0


def test_style_is_zero_for_the_style_image_itself() -> None:
    style, photo = _random(1, 3, 17, 23, seed=2), _random(1, 3, 17, 23)
    loss = _loss(style=style)
    assert loss(style, loss.targets(photo))["style"] == 0
    assert loss(photo, loss.targets(photo))["style"] > 0


def test_tv_is_zero_for_a_constant_image() -> None:
    loss, grey = _loss(), torch.full((1, 3, 17, 23), 0.5)
    assert loss(grey, loss.targets(grey))["tv"] == 0


def test_terms_are_the_weighted_formulas_of_the_paper() -> None:
    features, style = tiny_vgg(), _random(1, 3, 18, 22, seed=5)
    output, photo = _random(2, 3, 17, 23), _random(2, 3, 17, 23, seed=1)
    loss = _loss(
        features=features,
        style=style,
        content_layers={"relu1_2": 0.5, "relu2_2": 2.0},
        style_layers={"relu1_1": 3.0, "relu2_1": 0.25},
        weights={"content": 7.0, "style": 11.0, "tv": 13.0},
    )
    seen, wanted, painted = (features(x, features.layers) for x in (output, photo, style))
    content = sum(w * (seen[k] - wanted[k]).square().mean() for k, w in (("relu1_2", 0.5), ("relu2_2", 2.0)))
    style_term = 0.0
    for layer, weight in (("relu1_1", 3.0), ("relu2_1", 0.25)):
        of_output, of_style = (_raw_gram(x[layer]) / x[layer][0].numel() for x in (seen, painted))
        style_term += weight * (of_output - of_style).square().sum().item() / 2
    tv = sum(_reference_total_variation(one) for one in output) / 2
    terms = loss(output, loss.targets(photo))
    assert set(terms) == set(TERMS)
    assert all(term.dtype == torch.float32 and term.shape == () for term in terms.values())
    assert terms["content"].item() == pytest.approx(7.0 * float(content), rel=1e-4)
    assert terms["style"].item() == pytest.approx(11.0 * style_term, rel=1e-4)
    assert terms["tv"].item() == pytest.approx(13.0 * tv, rel=1e-4)


@pytest.mark.parametrize("term", TERMS)
def test_each_term_sends_a_gradient_to_the_output(term: str) -> None:
    loss, photo = _loss(), _random(1, 3, 17, 23, seed=1)
    output = _random(1, 3, 17, 23).requires_grad_()
    loss(output, loss.targets(photo))[term].backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    assert output.grad.abs().max() > 0


def test_gradient_reaches_neither_the_loss_network_nor_the_targets() -> None:
    loss = _loss()
    output, photo = _random(1, 3, 17, 23).requires_grad_(), _random(1, 3, 17, 23, seed=1).requires_grad_()
    targets = loss.targets(photo)
    torch.stack(list(loss(output, targets).values())).sum().backward()
    assert not any(target.requires_grad for target in targets.values())
    assert photo.grad is None
    assert list(loss.parameters()) == []
    assert not any(buffer.requires_grad for buffer in loss.buffers())


def test_state_dict_is_empty() -> None:
    assert _loss().state_dict() == {}


@pytest.mark.parametrize("term", TERMS)
def test_weight_scales_its_term_and_no_other(term: str) -> None:
    output, photo = _random(2, 3, 17, 23), _random(2, 3, 17, 23, seed=1)
    ones = dict.fromkeys(TERMS, 1.0)
    base, scaled = _loss(weights=ones), _loss(weights=ones | {term: 3.5})
    before, after = base(output, base.targets(photo)), scaled(output, scaled.targets(photo))
    for name in TERMS:
        torch.testing.assert_close(after[name], before[name] * (3.5 if name == term else 1.0))


def test_layer_weights_scale_their_layer() -> None:
    output, photo = _random(1, 3, 17, 23), _random(1, 3, 17, 23, seed=1)

    def terms(layers: dict[str, float]) -> dict[str, Tensor]:
        loss = _loss(content_layers=layers, style_layers=layers)
        found: dict[str, Tensor] = loss(output, loss.targets(photo))
        return found

    first, second = terms({"relu1_2": 1.0}), terms({"relu2_2": 1.0})
    both = terms({"relu1_2": 0.5, "relu2_2": 4.0})
    for name in ("content", "style"):
        torch.testing.assert_close(both[name], 0.5 * first[name] + 4.0 * second[name])


def test_batch_of_three_is_the_mean_of_its_images() -> None:
    loss, output, photo = _loss(), _random(3, 3, 17, 23), _random(3, 3, 17, 23, seed=1)
    together = loss(output, loss.targets(photo))
    singles = [loss(output[i : i + 1], loss.targets(photo[i : i + 1])) for i in range(3)]
    for name in TERMS:
        torch.testing.assert_close(together[name], torch.stack([terms[name] for terms in singles]).mean())


def test_terms_under_bfloat16_autocast_are_float32_and_near() -> None:
    loss, output, photo = _loss(), _random(1, 3, 17, 23), _random(1, 3, 17, 23, seed=1)
    exact = loss(output, loss.targets(photo))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        short = loss(output, loss.targets(photo))
    for name in TERMS:
        assert short[name].dtype == torch.float32
        assert short[name].item() == pytest.approx(exact[name].item(), rel=0.05)


def test_style_targets_move_to_float64() -> None:
    loss = _loss()
    before = loss.get_buffer("gram_relu1_2").clone()
    moved = loss.to(torch.float64).get_buffer("gram_relu1_2")
    assert moved.dtype == torch.float64
    torch.testing.assert_close(moved, before.double(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("term", "style_distance"),
    [
        ("content", squared_frobenius),
        ("style", squared_frobenius),
        ("style", mean_square),
        ("tv", squared_frobenius),
    ],
)
def test_gradient_agrees_with_finite_differences_in_float64(term: str, style_distance: Distance) -> None:
    loss = _loss(
        features=tiny_vgg(depth=2),
        style=_random(1, 3, 6, 5, seed=5),
        content_layers={"relu1_2": 1.0},
        style_layers={"relu1_1": 1.0, "relu1_2": 1.0},
        weights={"content": 1.0, "style": 100.0, "tv": 1.0},
        style_distance=style_distance,
    ).to(torch.float64)
    targets = loss.targets(_random(1, 3, 4, 5, seed=1).double())
    output = _random(1, 3, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, targets)[term], output)


# ---------------------------------------------------------------- errors


def test_unknown_term_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown loss term 'contents'; did you mean 'content'\?"):
        _loss(weights={"contents": 1.0, "style": 1.0, "tv": 1.0})


def test_missing_term_is_named() -> None:
    with pytest.raises(ValueError, match="missing: style, tv"):
        _loss(weights={"content": 1.0})


@pytest.mark.parametrize("which", ["content", "style"])
def test_unknown_layer_is_refused_with_the_nearest(which: str) -> None:
    layers = {f"{which}_layers": {"relu2_3": 1.0}}
    with pytest.raises(ValueError, match=r"no layer 'relu2_3'; did you mean 'relu2_\d'\?"):
        _loss(**layers)  # type: ignore[arg-type]


def test_targets_of_another_size_are_refused_with_both_shapes() -> None:
    loss = _loss(content_layers={"relu1_2": 1.0})
    targets = loss.targets(_random(1, 3, 17, 23))
    with pytest.raises(ValueError, match=r"relu1_2 .*\(1, 64, 20, 24\).*\(1, 64, 17, 23\)"):
        loss(_random(1, 3, 20, 24), targets)


def test_targets_of_another_batch_size_are_refused() -> None:
    loss = _loss(content_layers={"relu1_2": 1.0})
    with pytest.raises(ValueError, match=r"\(3, 64, 17, 23\).*\(1, 64, 17, 23\)"):
        loss(_random(3, 3, 17, 23), loss.targets(_random(1, 3, 17, 23)))


# ---------------------------------------------------------------- the gradient of the Gram matrix


def _layouts() -> dict[str, Tensor]:
    """Features in several layouts of the memory, and a batch of three."""
    wide = _random(1, 6, 7, 18, seed=3)
    return {
        "contiguous": _random(1, 6, 7, 9),
        "channels_last": _random(2, 6, 7, 9).contiguous(memory_format=torch.channels_last),
        "strided": wide[..., ::2],
        "transposed": _random(1, 6, 9, 7).transpose(2, 3),
        "batch": _random(3, 6, 7, 9),
        "one_position": _random(2, 6, 1, 1),
    }


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (3, 2, 3, 2), (2, 4, 1, 1)])
def test_gradient_of_gram_agrees_with_finite_differences_in_float64(shape: tuple[int, ...]) -> None:
    features = (_random(*shape).double() - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(gram, features)


@pytest.mark.parametrize("layout", _layouts())
def test_gradient_of_gram_is_that_of_the_plain_formula(layout: str) -> None:
    ours = _layouts()[layout].requires_grad_()
    theirs = ours.detach().contiguous().clone().requires_grad_()
    n, c, h, w = ours.shape
    weights = _random(n, c, c, seed=4) - 0.5  # not symmetric
    (gram(ours) * weights).sum().backward()
    (torch.einsum("nihw,njhw->nij", theirs, theirs) / (c * h * w) * weights).sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_gradient_of_gram_reaches_a_view_without_a_copy() -> None:
    base = _random(1, 6, 7, 18).requires_grad_()
    (gram(base[..., ::2]) * _random(1, 6, 6, seed=4)).sum().backward()
    assert base.grad is not None
    assert base.grad[..., ::2].abs().min() > 0
    assert base.grad[..., 1::2].abs().max() == 0


@pytest.mark.parametrize("autocast", [False, True])
def test_gradient_of_gram_for_bfloat16_features_is_bfloat16_and_near(autocast: bool) -> None:
    short = (_random(2, 16, 20, 20) - 0.3).bfloat16().requires_grad_()
    exact = short.detach().float().requires_grad_()
    weights = _random(2, 16, 16, seed=4) - 0.5
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = gram(short)
    (found * weights).sum().backward()
    (gram(exact) * weights).sum().backward()
    assert short.grad is not None and exact.grad is not None
    assert short.grad.dtype == torch.bfloat16
    difference = (short.grad.float() - exact.grad).norm() / exact.grad.norm()
    assert 0 < difference < 0.01


def test_second_derivatives_of_gram_are_refused() -> None:
    features = _random(1, 3, 4, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(gram(features).square().sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def _reference_e_l(a: Tensor, b: Tensor) -> Tensor:
    """Gatys 2015 eq. 4: E_l = 1 / (4 N^2 M^2) sum (G - A)^2, with G and A not normalised, N filters, M positions."""
    filters, positions = a.shape[1], a.shape[2] * a.shape[3]
    return (_raw_gram(a) - _raw_gram(b)).square().sum(dim=(1, 2)) / (4 * filters**2 * positions**2)


def test_the_style_term_with_gatys_layer_weights_is_his() -> None:
    features, style = tiny_vgg(), _random(1, 3, 17, 23, seed=5)  # of the output's size: M is the same for both
    output, photo = _random(1, 3, 17, 23), _random(1, 3, 17, 23, seed=1)
    layers = ("relu1_1", "relu2_1")
    loss = _loss(features=features, style=style, style_layers=dict.fromkeys(layers, 0.5 / 4))  # w_l = 1/2 of E_l's 1/4
    seen, painted = features(output, layers), features(style, layers)
    expected = sum(0.5 * _reference_e_l(seen[layer], painted[layer]).item() for layer in layers)
    assert loss(output, loss.targets(photo))["style"].item() == pytest.approx(expected, rel=1e-3)


# ---------------------------------------------------------------- blended styles


def _blend(*styles: tuple[float, Tensor]) -> PerceptualLoss:
    return _loss(style=list(styles))  # type: ignore[arg-type]


def test_gram_targets_of_a_blend_are_the_weighted_mean() -> None:
    one, other = _random(1, 3, 18, 22, seed=5), _random(1, 3, 12, 31, seed=6) ** 3
    blend, first, second = _blend((1.0, one), (3.0, other)), _loss(style=one), _loss(style=other)
    for layer in ("relu1_2", "relu2_2"):
        a, b, mean = (loss.get_buffer(f"gram_{layer}") for loss in (first, second, blend))
        torch.testing.assert_close(mean, 0.25 * a + 0.75 * b)
        assert not torch.allclose(a, b, rtol=0.1)


def test_a_blend_of_one_style_with_itself_is_that_style() -> None:
    style = _random(1, 3, 18, 22, seed=5)
    for blend in (_blend((2.0, style)), _blend((1.0, style), (4.0, style))):
        torch.testing.assert_close(blend.get_buffer("gram_relu2_2"), _loss(style=style).get_buffer("gram_relu2_2"))


@pytest.mark.parametrize("scale", [1e-3, 10.0])
def test_the_scale_of_blend_weights_does_not_matter(scale: float) -> None:
    one, other = _random(1, 3, 18, 22, seed=5), _random(1, 3, 18, 22, seed=6)
    plain, scaled = _blend((1.0, one), (3.0, other)), _blend((scale, one), (3 * scale, other))
    torch.testing.assert_close(scaled.get_buffer("gram_relu1_2"), plain.get_buffer("gram_relu1_2"))


@pytest.mark.parametrize("weights", [[], [0.0], [1.0, 0.0], [2.0, -1.0]])
def test_blend_weights_that_are_not_positive_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"styles with weights above 0, got weights \["):
        _blend(*((weight, _random(1, 3, 18, 22)) for weight in weights))


# ---------------------------------------------------------------- weights of 0


def _spied(features: VGG) -> list[str]:
    """The names of the convolutions that are computed, as they are computed."""
    called: list[str] = []
    for name, layer in features.layers.items():
        if name.startswith("conv"):
            layer.register_forward_hook(lambda module, inputs, output, name=name: called.append(name))
    return called


def test_layers_of_weight_0_are_not_computed() -> None:
    features = tiny_vgg()
    called = _spied(features)
    loss = _loss(
        features=features,
        content_layers={"relu1_2": 1.0, "relu2_2": 0.0},
        style_layers={"relu1_1": 1.0, "relu2_1": 0.0},
    )
    output, photo = _random(1, 3, 17, 23), _random(1, 3, 17, 23, seed=1)
    targets = loss.targets(photo)
    terms = loss(output, targets)
    assert set(targets) == {"relu1_2"}
    assert set(called) == {"conv1_1", "conv1_2"}
    alone = _loss(content_layers={"relu1_2": 1.0}, style_layers={"relu1_1": 1.0})
    expected = alone(output, alone.targets(photo))
    assert all(torch.equal(terms[name], expected[name]) for name in TERMS)


def test_a_layer_of_weight_0_needs_no_larger_photograph() -> None:
    loss = _loss(content_layers={"relu1_2": 1.0, "relu2_2": 0.0}, style_layers={"relu1_1": 1.0})
    thin = _random(1, 3, 1, 9)  # relu2_2 needs two rows
    assert loss(thin, loss.targets(thin))["content"] == 0


@pytest.mark.parametrize("which", ["content", "style"])
def test_a_layer_of_weight_0_must_exist_all_the_same(which: str) -> None:
    with pytest.raises(ValueError, match="no layer 'relu2_3'"):
        _loss(**{f"{which}_layers": {"relu1_1": 1.0, "relu2_3": 0.0}})  # type: ignore[arg-type]


@pytest.mark.parametrize("term", TERMS)
def test_a_term_of_weight_0_is_0_and_the_others_stay(term: str) -> None:
    output, photo = _random(2, 3, 17, 23), _random(2, 3, 17, 23, seed=1)
    base, without = _loss(), _loss(weights=dict.fromkeys(TERMS, 1.0) | {term: 0.0})
    expected, found = base(output, base.targets(photo)), without(output, without.targets(photo))
    assert expected[term] > 0
    assert set(found) == set(TERMS)
    for name in TERMS:
        assert torch.equal(found[name], torch.zeros(()) if name == term else expected[name])


@pytest.mark.parametrize("term", ["content", "style"])
def test_a_term_of_weight_0_is_not_computed(term: str) -> None:
    def never(a: Tensor, b: Tensor) -> Tensor:
        raise AssertionError(f"{term} was computed")

    features = tiny_vgg()
    called = _spied(features)
    layers = {f"{term}_layers": {"relu2_2": 1.0}, ("style" if term == "content" else "content") + "_layers": {}}
    loss = _loss(
        features=features,
        weights=dict.fromkeys(TERMS, 1.0) | {term: 0.0},
        **{f"{term}_distance": never},
        **layers,
    )
    photo = _random(1, 3, 17, 23)
    loss(_random(1, 3, 17, 23, seed=1), loss.targets(photo))
    assert called == []


def test_without_total_variation_a_noisy_image_costs_nothing_more() -> None:
    loss = _loss(weights={"content": 0.0, "style": 0.0, "tv": 0.0})
    output = _random(1, 3, 17, 23)
    assert all(value == 0 for value in loss(output, loss.targets(output)).values())


# ---------------------------------------------------------------- no style


def _without_style(*, style_layers: Mapping[str, float], weights: Mapping[str, float]) -> PerceptualLoss:
    return PerceptualLoss(
        tiny_vgg(),
        None,
        content_layers={"relu2_2": 1.0},
        style_layers=style_layers,
        weights=weights,
        content_distance=mean_square,
        style_distance=mean_square,
    )


@pytest.mark.parametrize(("layers", "weight"), [({}, 0.0), ({}, 1.0), ({"relu1_2": 0.0}, 1.0), ({"relu1_2": 1.0}, 0.0)])
def test_without_style_layers_no_style_is_needed(layers: dict[str, float], weight: float) -> None:
    loss = _without_style(style_layers=layers, weights={"content": 1.0, "style": weight, "tv": 0.5})
    output, photo = _random(2, 3, 17, 23), _random(2, 3, 17, 23, seed=1)
    terms = loss(output, loss.targets(photo))
    styled = _loss(weights={"content": 1.0, "style": 1.0, "tv": 0.5})
    expected = styled(output, styled.targets(photo))
    assert terms["style"] == 0
    for name in ("content", "tv"):
        torch.testing.assert_close(terms[name], expected[name])
    assert not [name for name, _ in loss.named_buffers() if name.startswith("gram")]


def test_style_layers_without_a_style_are_refused() -> None:
    with pytest.raises(ValueError, match="style layers and no style image"):
        _without_style(style_layers={"relu1_2": 1.0}, weights={"content": 1.0, "style": 1.0, "tv": 0.0})
