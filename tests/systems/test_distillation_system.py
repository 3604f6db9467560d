"""A small loss network begins near its teacher, learns, and learns from an adversary; as a system and as a command."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from impasto.data import Batch
from impasto.features import VGG
from impasto.features.vgg import build_layers
from impasto.losses import gram
from impasto.networks import LAYERS, Pocket, Stylizer, load_network
from impasto.systems import DistillationSystem
from impasto.systems.adversary import Adversary
from impasto.systems.distillation import _directions

SMALL: dict[str, Any] = {"widths": [4, 4, 8, 8], "depths": [2, 1, 1, 1], "coefficients": [4, 4, 8, 8]}
MEAN, STD = [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]


def _weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    layers = build_layers("vgg16", pooling=nn.MaxPool2d(2)).items()
    found = {}
    for name, layer in layers:
        if isinstance(layer, nn.Conv2d) and name < "conv5":
            shape, inputs = layer.weight.shape, layer.in_channels
            found[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / (9 * inputs)) ** 0.5
            found[f"{name}.bias"] = torch.zeros(layer.out_channels)
    return found


@pytest.fixture(scope="module")
def teacher() -> VGG:
    """VGG-16 with random filters."""
    return VGG(_weights(), architecture="vgg16", mean=MEAN, std=STD, pooling=nn.MaxPool2d(2), description="random")


def _photographs(count: int, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    small = torch.rand(count, 3, 6, 6, generator=generator)
    return nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)


def _system(teacher: VGG, **changes: Any) -> DistillationSystem:
    torch.manual_seed(0)
    told: dict[str, Any] = {
        "photographs": _photographs(4),
        "painters": [],
        "adversary": None,
        "pruned": True,
        "weights": {"features": 1.0, "gram": 1.0, "difference": 1.0, "style": 1.0},
        "optimizer": lambda p: torch.optim.Adam(p, lr=2e-3),
        "scheduler": None,
        "channels_last": False,
        "compiled": False,
    }
    return DistillationSystem(Pocket(**SMALL), teacher, **(told | changes))


def _errors(system: DistillationSystem) -> dict[str, float]:
    photos = _photographs(6)
    with torch.no_grad():
        found = system.errors(photos, photos.flip(0), system.network)
    return {name: float(value) for name, value in found.items()}


def test_directions_are_the_best_basis_of_their_size(teacher: VGG) -> None:
    photos = _photographs(3)
    network = Pocket(**SMALL)
    for layer, (basis, scale) in _directions(network, teacher, photos).items():
        count, channels = basis.shape[:2]
        flat = basis.flatten(1) / (count / channels) ** 0.5
        torch.testing.assert_close(flat @ flat.T, torch.eye(count), atol=1e-4, rtol=0)  # orthonormal
        seen = teacher(photos, [layer])[layer].movedim(1, 0).flatten(1)
        singular = torch.linalg.svdvals(seen)[:count] / seen.shape[1] ** 0.5
        torch.testing.assert_close(scale, singular * (count / channels) ** 0.5, rtol=1e-3, atol=1e-5)


def test_coefficients_keep_norms_and_gram_matrices_of_what_they_span(teacher: VGG) -> None:
    """All directions of a layer: nothing is lost, and losses have the value that they have with activations."""
    photos = _photographs(2)
    network = Pocket(widths=[2] * 4, depths=[2, 1, 1, 1], coefficients=list(LAYERS.values()))
    for layer, (basis, _) in _directions(network, teacher, photos).items():
        seen = teacher(photos, [layer])[layer]
        found = nn.functional.conv2d(seen, basis)
        torch.testing.assert_close(found.square().mean(), seen.square().mean(), rtol=1e-3, atol=1e-6)
        ours, theirs = ((gram(x)[0] - gram(x)[1]).square().sum() for x in (found, seen))
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-9)


@pytest.mark.slow
def test_it_begins_nearer_than_at_random_and_comes_nearer(teacher: VGG) -> None:
    system = _system(teacher)
    random = _errors(_system(teacher, pruned=False))
    before = _errors(system)
    assert before["features"] < 0.5 * random["features"] and before["gram"] < 0.5 * random["gram"]
    optimizer = system.configure_optimizers()
    for step in range(30):
        optimizer.zero_grad()
        photos = _photographs(4).roll(step, dims=-1)
        errors = system.errors(photos, photos.flip(0), system.network)
        torch.stack(list(errors.values())).sum().backward()
        optimizer.step()
    after = _errors(system)
    assert sum(after.values()) < 0.9 * sum(before.values())


def test_errors_are_nothing_where_the_network_says_what_the_teacher_does(teacher: VGG) -> None:
    system = _system(teacher)
    photos = _photographs(2)
    assert all(float(x) < 1e-10 for x in system.errors(photos, photos.flip(0), system.targets).values())
    errors = system.errors(photos, photos.flip(0), lambda x: {k: 2 * v for k, v in system.targets(x).items()})
    assert float(errors["difference"]) == pytest.approx(1, rel=1e-3)  # relative
    assert float(errors["features"]) > 1  # about the mean
    assert float(errors["gram"]) == pytest.approx(9, rel=1e-3)


def _adversary(**changes: Any) -> Adversary:
    torch.manual_seed(0)
    networks = [Stylizer(width=4, blocks=1) for _ in range(2)]
    told: dict[str, Any] = {"styles": [_photographs(1, 24)], "steps": 50, "rate": 2e-3}
    return Adversary(networks, **(told | changes))


def test_an_adversary_learns_from_the_small_network_and_not_the_other_way_round() -> None:
    network = Pocket(**SMALL)
    with torch.no_grad():
        network.scale1.mul_(10)
    before = copy.deepcopy(network.state_dict())
    adversary, photos = _adversary(), _photographs(2)

    def style_error() -> float:
        with torch.no_grad():
            painted, style = network(adversary.network(photos)), network(adversary.paintings[0])
        return sum(float((gram(painted[x]) - gram(style[x])).square().mean()) for x in style)

    first, _ = adversary.work(photos, network)
    adversary.weight, adversary.smooth = 1e3, 0.0
    early = style_error()
    for _ in range(30):
        works, painting = adversary.work(photos, network)
    assert style_error() < 0.7 * early
    assert any(painting is view for view in adversary.paintings)
    assert works.shape == (2, 3, 24, 24) and not works.requires_grad and not torch.equal(works, first)
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_an_adversary_starts_again() -> None:
    adversary, photos = _adversary(steps=3), _photographs(2)
    seen = []
    for _ in range(7):
        adversary.work(photos, Pocket(**SMALL))
        seen.append(adversary.optimizer)
    assert [seen.count(optimizer) for optimizer in dict.fromkeys(seen)] == [3, 3, 1]


def test_three_of_four_batches_are_an_adversarys_works(teacher: VGG, monkeypatch: pytest.MonkeyPatch) -> None:
    system = _system(teacher, adversary=_adversary())
    steps = iter(range(4))
    monkeypatch.setattr(DistillationSystem, "global_step", property(lambda self: next(steps)))
    monkeypatch.setattr(system, "log_training", lambda errors, **_: torch.stack(list(errors.values())).sum())
    for index in range(4):
        total = system.training_step(Batch(_photographs(2), torch.zeros(2), torch.zeros(2)), index)
    assert torch.isfinite(total) and system.adversary is not None and system.adversary.done == 3


@pytest.mark.slow
def test_the_command_trains_one_and_goes_on_from_it(impasto: Callable[..., Any], tmp_path: Path) -> None:
    from PIL import Image
    from torchvision.transforms.v2.functional import to_pil_image

    (tmp_path / "photos").mkdir()
    for number, photo in enumerate(_photographs(4, 48)):
        image: Image.Image = to_pil_image(photo)
        image.save(tmp_path / "photos" / f"{number}.png")
    indices = {n: f"features.{i}" for i, n in enumerate(build_layers("vgg16", pooling=nn.MaxPool2d(2)))}
    renamed = {f"{indices[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in _weights().items()}
    save_file(renamed, tmp_path / "vgg16.safetensors")
    common = [
        "train",
        "experiment=pocket",
        "features=vgg16",
        "features.weights=vgg16.safetensors",
        "features.mean=[0.5,0.5,0.5]",
        "features.std=[0.25,0.25,0.25]",
        *(f"network.{key}={str(value).replace(' ', '')}" for key, value in SMALL.items()),
        "data.train=[photos]",
        "data.val=[photos]",
        "data.train_transform.size=32",
        "data.val_transform.size=32",
        "data.batch_size=2",
        "data.num_workers=0",
        "task.photographs=2",
        "task.size=32",
        "task.painters=[starry_night]",
        "task.adversary.styles=[photos]",
        "trainer.max_steps=2",
        "trainer.val_check_interval=2",
        "trainer.precision=32-true",
        "logger=csv",
    ]
    result = impasto(*common)
    assert result.code == 0, result.err
    trained = load_network(result.folder / "network.safetensors")
    assert isinstance(trained.network, Pocket) and trained.card["system"] == "pocket"
    assert trained.card["painters"] == ["starry_night"] and trained.card["start"] is None
    again = impasto(*common, f"task.start={result.folder}", "task.adversary=null", "task.painters=[]")
    assert again.code == 0, again.err
    assert json.loads((again.folder / "status.json").read_text())["status"] == "finished"
    assert load_network(again.folder / "network.safetensors").card["start"] == result.folder.name
    refused = impasto(*common, "data.train_transform.size=36")
    assert refused.code == 1 and "expected data.train_transform.size to be a multiple of 8, got 36" in refused.err
    refused = impasto(*common, "data.batch_size=3")
    assert refused.code == 1 and "expected an even data.batch_size, since works are compared" in refused.err
    refused = impasto(*common, "task.painters=[]")
    assert (
        refused.code == 1
        and "expected painters for task.adversary, which starts as one of them; got none" in refused.err
    )
