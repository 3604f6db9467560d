"""Steps of the optimisation on a GPU that is not there (`fake_gpu`), and the gradient of Gram matrices by hand."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fake_gpu import fake_gpu, on_gpu
from tiny import tiny_vgg

from impasto.gatys import LBFGS, Adam, Level, Optimization, smooth
from impasto.losses import PerceptualLoss, mean_square
from impasto.losses.distances import _Gram

OPTIMIZERS: dict[str, tuple[Any, int]] = {
    "adam": (partial(Adam, lr=2.0, betas=(0.9, 0.999)), 1),
    # Two more: whether a pair says something of the curvature, and whether the direction leads downwards.
    "lbfgs": (
        partial(LBFGS, history=5, first_step=1.0, guard=2.0, preconditioner=partial(smooth, exponent=1.0)),
        3,
    ),
}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_waits_for_the_gpu_once_for_the_loss(name: str, precision: torch.dtype) -> None:
    optimizer, expected = OPTIMIZERS[name]
    layers = {"relu1_2": 1.0, "relu2_2": 1.0}
    loss = PerceptualLoss(
        tiny_vgg(),
        torch.rand(1, 3, 40, 48),
        content_layers=layers,
        style_layers=layers,
        weights={"content": 1.0, "style": 1.0, "tv": 1.0},
        content_distance=mean_square,
        style_distance=mean_square,
    )
    with fake_gpu() as kernels:
        on_gpu(loss)
        photo = torch.empty(1, 3, 40, 48, device="cuda")
        levels = [Level(photo, lambda: loss, 9)]
        optimization = Optimization(levels, start=photo, optimizer=optimizer, precision=precision)
        for _ in range(6):
            kernels.waits.clear()
            assert set(optimization.step()) == {"content", "style", "tv"}
            assert len(kernels.waits) <= expected
        assert optimization._image.is_cuda and optimization._image.shape == photo.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_a_gram_matrix_keeps_dtype_and_device(dtype: torch.dtype) -> None:
    with fake_gpu() as kernels:
        features = torch.empty(2, 8, 5, 7, dtype=dtype, device="cuda").to(memory_format=torch.channels_last)
        context: Any = SimpleNamespace(saved_tensors=(features,), save_for_backward=lambda *_: None)
        found = _Gram.forward(context, features)
        assert found.shape == (2, 8, 8) and found.dtype == torch.float32
        back = _Gram.backward(context, found)
        assert back.shape == features.shape and back.dtype == dtype and back.device == features.device
        assert kernels.waits == []
