"""Laws of strips: what a network makes of them is what it makes of the whole, wherever they are cut."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.engines import eager
from impasto.networks import ConditionalStylizer, JohnsonStylizer, Stylizer, Trained
from impasto.networks.conditional import ConditionalNorm
from impasto.networks.rewriting import rewritten
from impasto.strips import Strips, pointwise


@pytest.fixture(autouse=True)
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of eight to a few dozen rows."""
    monkeypatch.setattr("impasto.strips._BYTES", 20_000)


@pytest.fixture
def cut(tmp_path: Path) -> Callable[[Tensor], Strips]:
    def strips_of(x: Tensor) -> Strips:
        return Strips(x.shape, lambda first, last: x[..., first:last, :].clone(), like=x, folder=tmp_path)

    return strips_of


def _random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _whole(x: Strips) -> Tensor:
    return torch.cat(list(x), dim=2)


def _vivid(network: nn.Module) -> nn.Module:
    """In float64, with norms that change much."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d | ConditionalNorm):
            nn.init.normal_(module.weight, 1, 0.5)
            nn.init.normal_(module.bias, 0, 0.5)
    return network.double().eval()


def _conditional(styles: list[float]) -> nn.Module:
    torch.manual_seed(1)
    network = _vivid(ConditionalStylizer(width=2, styles=3))
    assert isinstance(network, ConditionalStylizer)
    return network.single(torch.tensor(styles))


NETWORKS = {
    "one style": lambda: _conditional([0, 1, 0]),
    "a mix": lambda: _conditional([0.2, 0.5, 0.3]),
    "modern": lambda: rewritten(_vivid(Stylizer(width=2, blocks=2))),
    "paper": lambda: rewritten(_vivid(JohnsonStylizer(width=2))),
    "rewritten": lambda: rewritten(_conditional([1, 0, 0])),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("size", [(57, 43), (131, 70), (64, 201)])
@torch.inference_mode()
def test_a_network_makes_of_strips_what_it_makes_of_the_whole(
    network: Callable[[], nn.Module], size: tuple[int, int], cut: Callable[[Tensor], Strips]
) -> None:
    built, image = network(), _random(1, 3, *size)
    expected, found = built(image), built(cut(image))
    assert found.shape == expected.shape and expected.std() > 0.01
    torch.testing.assert_close(_whole(found), expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(found.rows(5, 30), expected[..., 5:30, :], atol=1e-10, rtol=0)


@pytest.mark.parametrize(("precision", "near"), [(torch.float32, 1e-4), (torch.bfloat16, 0.03)])
def test_an_engine_takes_strips(precision: torch.dtype, near: float, cut: Callable[[Tensor], Strips]) -> None:
    run = eager(Trained(_conditional([1, 0, 0]).float(), {}), precision=precision, device="cpu")
    image = _random(1, 3, 77, 66).float()
    found = run(cut(image))
    assert found.dtype == torch.float32
    torch.testing.assert_close(_whole(found), run(image), atol=near, rtol=0)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
@pytest.mark.parametrize("pad", [(1, 2, 3, 4), (0, 0, 0, 5), (3, 0, 6, 0)])
def test_padding_is_that_of_the_whole(mode: str, pad: tuple[int, ...], cut: Callable[[Tensor], Strips]) -> None:
    image = _random(1, 2, 7, 5)
    expected, found = functional.pad(image, pad, mode), functional.pad(cut(image), pad, mode)  # type: ignore[arg-type]
    for first in range(expected.shape[2]):
        for last in range(first + 1, expected.shape[2] + 1):
            assert torch.equal(found.rows(first, last), expected[..., first:last, :])


LAYERS = {
    "strided": nn.Conv2d(3, 4, 5, stride=2, padding=1),
    "dilated": nn.Conv2d(3, 4, 3, dilation=3),
    "transposed": nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
    "wide": nn.ConvTranspose2d(3, 4, 8, stride=2, padding=7),
    "norm": nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4, affine=True)),
    "plain norm": nn.InstanceNorm2d(3),
    "group norm": nn.GroupNorm(3, 3),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@torch.inference_mode()
def test_a_layer_is_that_of_the_whole(
    layer: nn.Module, memory_format: torch.memory_format, cut: Callable[[Tensor], Strips]
) -> None:
    layer, image = layer.double(), _random(1, 3, 201, 33).contiguous(memory_format=memory_format)
    torch.testing.assert_close(_whole(layer(cut(image))), layer(image))


def test_a_channel_without_contrast_stays_finite(cut: Callable[[Tensor], Strips]) -> None:
    image = _random(1, 2, 99, 33)
    image[:, 0] = 0.25
    torch.testing.assert_close(_whole(functional.instance_norm(cut(image))), functional.instance_norm(image))  # type: ignore[arg-type]


def test_files_are_gone_with_what_refers_to_them(tmp_path: Path, cut: Callable[[Tensor], Strips]) -> None:
    with torch.inference_mode():
        found = nn.Conv2d(3, 4, 3).double()(cut(_random(1, 3, 99, 33)))
    assert _whole(found).shape == (1, 4, 97, 31)
    del found
    assert not list(tmp_path.iterdir())


def test_what_is_no_layer_of_ours_is_refused(cut: Callable[[Tensor], Strips]) -> None:
    with pytest.raises(TypeError, match=r"torch\.cumsum"):
        torch.cumsum(cut(_random(1, 3, 9, 9)), 2)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="expected one channel a group, got 1 groups of 3 channels"):
        nn.GroupNorm(1, 3)(cut(_random(1, 3, 9, 9)))


def test_a_function_of_pixels_takes_images_and_strips(cut: Callable[[Tensor], Strips]) -> None:
    one, other = _random(1, 3, 99, 33), _random(1, 3, 99, 33).flip(2)
    expected = pointwise(torch.mul, one, other)
    assert torch.equal(_whole(pointwise(torch.mul, cut(one), cut(other))), expected)
    assert torch.equal(_whole(cut(one) + cut(other)), one + other)
    assert torch.equal(_whole((cut(one) + other[0, 0] + 1) / 2), (one + other[0, 0] + 1) / 2)
    assert torch.equal(_whole(cut(one)[..., 2:-2, 3:]), one[..., 2:-2, 3:])
