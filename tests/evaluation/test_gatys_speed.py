"""Laws of the speed table: its ratios are those of its seconds, and the whole optimisation is really run."""

import json
from functools import partial
from typing import Any

import pytest
import torch
from tiny import tiny_vgg
from torch import Tensor, nn

from impasto.evaluation.comparison import Figures
from impasto.evaluation.speed import GatysSpeed, bare_pass
from impasto.gatys import Adam
from impasto.losses import PerceptualLoss, mean_square, squared_frobenius
from impasto.styles import Style


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class _CountingAdam(Adam):
    """Adam that counts its steps."""

    def __init__(self, steps: list[int]) -> None:
        super().__init__(lr=10.0, betas=[0.9, 0.999])
        self.steps = steps

    def step(self, image: Tensor, value: float, gradient: Tensor) -> Tensor:
        self.steps.append(image.shape[-1])
        return super().step(image, value, gradient)


class _Network(nn.Module):
    """A network that notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.seen: list[tuple[torch.dtype, bool, bool]] = []

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.layer(image)
        layout = image.is_contiguous(memory_format=torch.channels_last)
        self.seen.append((found.dtype, layout, torch.is_inference_mode_enabled()))
        return found


def _measure(*, steps: list[int] | None = None, **changes: Any) -> Figures:
    style = Style(
        **dict.fromkeys(("name", "title", "painter", "year", "rights", "source"), "drawn"),
        file=None,
        draw=lambda size: _random(3, size, size, seed=1),
        path=None,
    )
    loss = {
        "content_layers": {"relu1_1": 1.0},
        "style_layers": {"relu1_2": 1.0},
        "weights": {"content": 1.0, "style": 1.0, "tv": 0.0},
        "content_distance": mean_square,
        "style_distance": squared_frobenius,
    }
    keys: dict[str, Any] = {
        "sizes": [17],
        "features": lambda style: tiny_vgg(depth=2),
        "architecture": None,
        "loss": partial(PerceptualLoss, **loss),
        "style": style,
        "style_size": 9,
        "network": _Network(),
        "optimizer": partial(_CountingAdam, [] if steps is None else steps),
        "iterations": [10, 30],
        "whole": {"size": 17, "iterations": 3},
        "precision": "fp32",
        "warmup": 1,
        "repeats": 3,
        "paper": {},
        "label": "reported",
        "device": "cpu",
    }
    return GatysSpeed(**(keys | changes)).cells()["17 x 17"]()


def test_a_row_is_plain_json_and_has_its_size() -> None:
    row = _measure()
    assert json.loads(json.dumps(row)) == row
    assert (row["height"], row["width"]) == (17, 17)
    assert set(row) == {
        *("height", "width", "iteration_per_vgg", "iteration_per_network", "gatys_peak_bytes", "network_peak_bytes"),
        *(f"{what}_{part}" for what in ("iteration", "network", "vgg") for part in ("seconds", "low", "high")),
        *("gatys_10_seconds", "gatys_30_seconds", "speedup_10", "speedup_30"),
        *("whole_iterations", "whole_seconds", "whole_per_extrapolated"),
    }


def test_ratios_are_those_of_the_seconds() -> None:
    row = _measure()
    for what in ("iteration", "network", "vgg"):
        assert 0 < row[f"{what}_low"] <= row[f"{what}_seconds"] <= row[f"{what}_high"]
    assert row["iteration_per_vgg"] == pytest.approx(row["iteration_seconds"] / row["vgg_seconds"])
    assert row["iteration_per_network"] == pytest.approx(row["iteration_seconds"] / row["network_seconds"])
    for count in (10, 30):
        assert row[f"gatys_{count}_seconds"] == pytest.approx(count * row["iteration_seconds"])
        assert row[f"speedup_{count}"] == pytest.approx(row[f"gatys_{count}_seconds"] / row["network_seconds"])
    assert row["whole_per_extrapolated"] == pytest.approx(row["whole_seconds"] / (3 * row["iteration_seconds"]))
    assert row["gatys_peak_bytes"] > 2**20 and row["network_peak_bytes"] > 2**20


@pytest.mark.parametrize(("warmup", "repeats", "whole"), [(0, 1, 5), (2, 3, 1)])
def test_the_whole_is_run_from_beginning_to_end(warmup: int, repeats: int, whole: int) -> None:
    steps: list[int] = []
    row = _measure(steps=steps, warmup=warmup, repeats=repeats, whole={"size": 17, "iterations": whole})
    assert len(steps) == warmup + repeats + whole
    assert row["whole_iterations"] == whole
    assert row["whole_seconds"] > 0


@pytest.mark.parametrize("whole", [None, {"size": 64, "iterations": 9}])
def test_without_a_whole_of_this_size_its_figures_are_none(whole: dict[str, int] | None) -> None:
    steps: list[int] = []
    row = _measure(steps=steps, whole=whole)
    assert {row[key] for key in row if key.startswith("whole")} == {None}
    assert len(steps) == 1 + 3


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_network_runs_in_the_same_precision_in_channels_last_and_without_gradients(precision: torch.dtype) -> None:
    network = _Network()
    _measure(network=network, precision="bf16" if precision == torch.bfloat16 else "fp32", whole=None)
    assert network.seen == [(precision, True, True)] * 4


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_bare_pass_goes_to_the_deepest_layer_and_back_without_gram_matrices(
    monkeypatch: pytest.MonkeyPatch, precision: torch.dtype
) -> None:
    def never(a: Tensor, b: Tensor) -> Tensor:
        raise AssertionError("a distance was computed")

    loss = PerceptualLoss(
        tiny_vgg(),
        _random(1, 3, 9, 11, seed=1),
        content_layers={"relu2_1": 1.0},
        style_layers={"relu1_2": 1.0},
        weights={"content": 1.0, "style": 1.0, "tv": 0.0},
        content_distance=never,
        style_distance=never,
    )
    seen: list[str] = []
    for name, layer in loss.features.layers.items():
        layer.register_forward_hook(lambda module, inputs, output, name=name: seen.append(name))
    photo = _random(1, 3, 17, 23)
    found = bare_pass(photo, loss, precision)
    assert found[0].shape == photo.shape and found[0].abs().max() > 0
    assert seen[-1] == "relu2_1"
    assert photo.grad is None and not photo.requires_grad
