"""Layers with gradients of their own: the same values, the same gradients, the same names as PyTorch's."""

import copy

import pytest
import torch
from torch import Tensor, nn

from impasto.networks import JohnsonStylizer, Stylizer
from impasto.networks.training import keep_channels_last


def _pair(dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = Stylizer(width=8, blocks=2).to(dtype).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    quick = copy.deepcopy(plain)
    keep_channels_last(quick)
    return plain, quick


def _gradients(network: nn.Module, image: Tensor, gradient: Tensor) -> tuple[Tensor, list[Tensor]]:
    given = image.clone().requires_grad_()
    output = network(given)
    output.backward(gradient)
    assert given.grad is not None
    return output.detach(), [given.grad, *(p.grad for p in network.parameters() if p.grad is not None)]


@pytest.mark.parametrize("size", [(45, 38), (64, 32)])
def test_values_and_gradients_are_those_of_pytorch(size: tuple[int, int]) -> None:
    plain, quick = _pair(torch.float64)
    image, gradient = torch.rand(2, 3, *size).double(), torch.randn(2, 3, *size).double()
    (a, ours), (b, theirs) = _gradients(quick, image, gradient), _gradients(plain, image, gradient)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    largest = max(float(g.abs().max()) for g in theirs)
    assert len(ours) == len(theirs) > 20
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6 * largest)


def test_bfloat16_is_no_further_from_float32_than_pytorchs_own() -> None:
    plain, quick = _pair(torch.float32)
    image, gradient = torch.rand(2, 3, 64, 64), torch.randn(2, 3, 64, 64)
    _, exact = _gradients(copy.deepcopy(plain), image, gradient)
    found = []
    for network in (quick, plain):
        with torch.autocast("cpu", torch.bfloat16):
            _, gradients = _gradients(network, image, gradient)
        found.append(sum(float((g - e).square().sum()) for g, e in zip(gradients, exact, strict=True)))
    assert found[0] < 1.5 * found[1]


def test_names_and_other_networks_stay_as_they_are() -> None:
    plain, quick = _pair(torch.float32)
    assert list(plain.state_dict()) == list(quick.state_dict())
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in quick.named_parameters()]
    paper = JohnsonStylizer(width=4)
    told = str(paper)
    keep_channels_last(paper)
    assert str(paper) == told
