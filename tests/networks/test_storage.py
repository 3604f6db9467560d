"""Tests of network files: whole, small, with a card, and never executed."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.networks import (
    ConditionalStylizer,
    JohnsonStylizer,
    Stylizer,
    fold_batch_norm,
    has_batch_norm,
    load_network,
    save_network,
)
from impasto.networks.storage import NETWORKS
from impasto.trained import WEIGHTS

DESCRIPTION = {"class": "Stylizer", "width": 4, "blocks": 1}
JOHNSON = {"class": "JohnsonStylizer", "width": 2}
COLORIZER: dict[str, Any] = {
    "class": "Colorizer",
    "width": 4,
    "classes": 5,
    "channels": 2,
    "global_size": 32,
    "mean": 0.5,
    "global_features": True,
}
CARD: dict[str, Any] = {
    "system": "stylizer",
    "network": DESCRIPTION,
    "style": {"title": "The Great Wave", "size": 256, "licence": None},
    "final": {"val/loss": 1.25},
    "steps": 2400,
}


def _network() -> Stylizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Stylizer(width=4, blocks=1)


def _image() -> Tensor:
    return torch.rand(1, 3, 33, 47, generator=torch.Generator().manual_seed(0))


def _saved(path: Path, *, network: Any = None) -> Path:
    """A good file with `network` on its card."""
    save_network(path, _network(), CARD | ({} if network is None else {"network": network}))
    return path


# ---------------------------------------------------------------- round trip


def test_round_trip_returns_the_weights_within_float16_rounding(tmp_path: Path) -> None:
    network = _network()
    save_network(tmp_path / "network.safetensors", network, CARD)
    loaded = load_network(tmp_path / "network.safetensors").network
    assert isinstance(loaded, Stylizer)
    expected = network.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[name], rtol=2**-11, atol=2**-25)
    torch.testing.assert_close(loaded(_image()), network(_image()), rtol=0, atol=5e-3)


def test_round_trip_keeps_what_float16_holds_bit_for_bit(tmp_path: Path) -> None:
    first = load_network(_saved(tmp_path / "first.safetensors"))
    save_network(tmp_path / "second.safetensors", first.network, first.card)
    second = load_network(tmp_path / "second.safetensors")
    for name, value in second.network.state_dict().items():
        assert torch.equal(value, first.network.state_dict()[name])
    assert second.card == first.card


def test_loaded_network_is_in_evaluation_mode(tmp_path: Path) -> None:
    loaded = load_network(_saved(tmp_path / "network.safetensors")).network
    assert not any(module.training for module in loaded.modules())


def test_card_survives_the_round_trip(tmp_path: Path) -> None:
    assert load_network(_saved(tmp_path / "network.safetensors")).card == CARD


def test_saving_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    network = _network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_network(tmp_path / "network.safetensors", network, CARD)
    assert network.training
    assert all(
        value.dtype == torch.float32 and torch.equal(value, before[name])
        for name, value in network.state_dict().items()
    )


@pytest.mark.parametrize(
    ("network", "parameters"),
    [(Stylizer(width=32, blocks=5), 1_679_235), (JohnsonStylizer(width=32), 1_676_035)],  # 3,200 fewer: folded
)
def test_file_at_width_32_is_under_4_megabytes(tmp_path: Path, network: nn.Module, parameters: int) -> None:
    save_network(tmp_path / "network.safetensors", network, CARD)
    assert 2 * parameters < (tmp_path / "network.safetensors").stat().st_size < 4e6


def test_channels_last_weights_are_saved_like_others(tmp_path: Path) -> None:
    network = _network()
    save_network(tmp_path / "one.safetensors", network, CARD)
    save_network(tmp_path / "two.safetensors", network.to(memory_format=torch.channels_last), CARD)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_weights_beyond_float16_stay_float32(tmp_path: Path) -> None:
    network = _network()
    with torch.no_grad():
        network.encoder[0].conv.bias[0] = 1e6  # type: ignore[operator, union-attr]
    save_network(tmp_path / "network.safetensors", network, CARD)
    with safe_open(tmp_path / "network.safetensors", framework="pt") as file:
        assert file.get_tensor("encoder.0.conv.bias").dtype == torch.float32
        assert file.get_tensor("encoder.0.conv.weight").dtype == torch.float16
    loaded = load_network(tmp_path / "network.safetensors").network
    assert torch.equal(loaded.state_dict()["encoder.0.conv.bias"], network.state_dict()["encoder.0.conv.bias"])


# ---------------------------------------------------------------- folded batch norm

ROUNDING = 0.03  # float16 moves these outputs by up to 0.01; a variance of a tenth more would by 0.2 to 0.8


def _trained(description: dict[str, Any]) -> nn.Module:
    """A network whose batch norm has random scales and shifts, and the statistics of two batches."""
    arguments = {key: value for key, value in description.items() if key != "class"}
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = NETWORKS[description["class"]](**arguments)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # their mean
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.5, 1, generator=generator)
    with torch.no_grad():
        for _ in range(2):
            network(_seen(description, 8, generator))
    return network


def _seen(description: dict[str, Any], count: int, generator: torch.Generator) -> Tensor:
    """Noise of another brightness and contrast in every image."""
    channels = 1 if description["class"] == "Colorizer" else 3
    noise = torch.rand(count, channels, 48, 56, generator=generator)
    return noise * torch.rand(count, 1, 1, 1, generator=generator)


def _outputs(network: nn.Module, image: Tensor) -> Tensor:
    """All that the network says, as one vector."""
    output = network(image)
    parts = [output] if isinstance(output, Tensor) else [part for part in output if part is not None]
    return torch.cat([part.flatten() for part in parts])


with_batch_norm = pytest.mark.parametrize(
    "description", [JOHNSON, COLORIZER, COLORIZER | {"global_features": False}], ids=["Johnson", "Iizuka", "baseline"]
)


@with_batch_norm
def test_folded_file_gives_the_outputs_of_the_trained_network(tmp_path: Path, description: dict[str, Any]) -> None:
    network, image = _trained(description), _seen(description, 2, torch.Generator().manual_seed(2))
    save_network(tmp_path / "network.safetensors", network, CARD | {"network": description})
    loaded = load_network(tmp_path / "network.safetensors").network
    assert type(loaded) is type(network)
    assert not has_batch_norm(loaded)
    for name, value in fold_batch_norm(network).state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())
    torch.testing.assert_close(_outputs(loaded, image), _outputs(network.eval(), image), rtol=0, atol=ROUNDING)


@with_batch_norm
def test_folded_file_says_so_on_its_card_and_holds_no_statistics(tmp_path: Path, description: dict[str, Any]) -> None:
    card = CARD | {"network": description}
    save_network(tmp_path / "network.safetensors", _trained(description), card)
    assert load_network(tmp_path / "network.safetensors").card == card | {"folded": True}
    assert "folded" not in card
    with safe_open(tmp_path / "network.safetensors", framework="pt") as file:
        assert not [name for name in file.keys() if "running" in name or "tracked" in name]  # noqa: SIM118


@with_batch_norm
def test_saving_folds_a_copy_and_leaves_the_network_training(tmp_path: Path, description: dict[str, Any]) -> None:
    network = _trained(description)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_network(tmp_path / "network.safetensors", network, CARD | {"network": description})
    assert all(module.training for module in network.modules())
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


@with_batch_norm
def test_folded_file_saved_again_is_the_same_file(tmp_path: Path, description: dict[str, Any]) -> None:
    save_network(tmp_path / "one.safetensors", _trained(description), CARD | {"network": description})
    loaded = load_network(tmp_path / "one.safetensors")
    save_network(tmp_path / "two.safetensors", loaded.network, loaded.card)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


@pytest.mark.parametrize("description", [JOHNSON, COLORIZER], ids=["Johnson", "Iizuka"])
def test_file_from_before_folding_still_loads(tmp_path: Path, description: dict[str, Any]) -> None:
    network = _trained(description)
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    card = CARD | {"network": description}
    save_file(tensors, tmp_path / "network.safetensors", metadata={"impasto": json.dumps(card)})
    loaded = load_network(tmp_path / "network.safetensors")
    assert loaded.card == card
    assert has_batch_norm(loaded.network)
    image = _seen(description, 2, torch.Generator().manual_seed(2))
    torch.testing.assert_close(_outputs(loaded.network, image), _outputs(network.eval(), image), rtol=0, atol=ROUNDING)


def test_the_shipped_network_of_styles_loads_and_was_never_folded() -> None:
    path = WEIGHTS / "stylizer" / "styles.safetensors"
    loaded = load_network(path)
    assert isinstance(loaded.network, ConditionalStylizer)
    assert "folded" not in loaded.card
    with safe_open(path, framework="pt") as file:
        held = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    found = loaded.network.state_dict()
    assert found.keys() == held.keys()
    assert all(torch.equal(found[name], held[name]) for name in held)


@pytest.mark.parametrize("folded", [True, False])
def test_card_that_is_wrong_about_folding_is_refused(tmp_path: Path, folded: bool) -> None:
    network = _trained(JOHNSON)
    tensors = (network if folded else fold_batch_norm(network)).state_dict()
    card = CARD | {"network": JOHNSON, "folded": folded}
    save_file(tensors, tmp_path / "network.safetensors", metadata={"impasto": json.dumps(card)})
    with pytest.raises(ValueError, match=r"network\.safetensors do not fit its own model card"):
        load_network(tmp_path / "network.safetensors")


@pytest.mark.parametrize("name", ["running_mean", "running_var", "weight", "bias"])
def test_batch_norm_that_is_not_finite_is_refused(tmp_path: Path, name: str) -> None:
    network = _trained(JOHNSON)
    network.get_submodule("layers.2").state_dict()[name][0] = float("nan")
    with pytest.raises(ValueError, match=r"layers\.1\.(weight|bias) are not finite; nothing was written"):
        save_network(tmp_path / "network.safetensors", network, CARD | {"network": JOHNSON})
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- files that are refused


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no network file .*nowhere\.safetensors"):
        load_network(tmp_path / "nowhere.safetensors")


def test_folder_is_no_network_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no network file"):
        load_network(tmp_path)


def test_unknown_class_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = _saved(tmp_path / "network.safetensors", network=DESCRIPTION | {"class": "Stylizr"})
    with pytest.raises(ValueError, match=r"unknown network 'Stylizr'; did you mean 'Stylizer'\?"):
        load_network(path)


@pytest.mark.parametrize("name", ["os.system", "torch.nn.Linear", "Module", "__import__", ""])
def test_card_can_name_nothing_but_our_networks(tmp_path: Path, name: str) -> None:
    proof = tmp_path / "executed"
    path = _saved(tmp_path / "network.safetensors", network={"class": name, "command": f"touch {proof}"})
    with pytest.raises(ValueError, match="unknown network"):
        load_network(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    "network",
    [
        {"class": "Stylizer", "breadth": 4, "blocks": 1},
        {"class": "Stylizer", "width": 4},
        {"class": "Stylizer", "width": "four", "blocks": 1},
        {"width": 4, "blocks": 1},
        {"class": ["Stylizer"], "width": 4, "blocks": 1},
        {"class": None, "width": 4, "blocks": 1},
        {"class": "Stylizer", "width": 0, "blocks": 1},
        COLORIZER | {"width": 3},
        COLORIZER | {"global_size": 48},
        "Stylizer",
    ],
    ids=[
        "unknown argument",
        "missing argument",
        "argument of another type",
        "no class",
        "class of another type",
        "class of null",
        "width of zero",
        "odd width",
        "global size of 48",
        "no arguments",
    ],
)
def test_card_with_a_description_that_does_not_fit_is_refused(tmp_path: Path, network: Any) -> None:
    path = _saved(tmp_path / "network.safetensors", network=network)
    with pytest.raises(ValueError, match=r"^the (weights in|model card of) .*network\.safetensors"):
        load_network(path)


@pytest.mark.parametrize("card", ['{"system": "stylizer"}', "[]", "not json"])
def test_card_that_describes_no_network_is_refused(tmp_path: Path, card: str) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "network.safetensors", metadata={"impasto": card})
    with pytest.raises(ValueError, match=r"network\.safetensors"):
        load_network(tmp_path / "network.safetensors")


@pytest.mark.parametrize("width", [3, 8])
def test_weights_of_another_shape_than_the_card_says_are_refused(tmp_path: Path, width: int) -> None:
    path = _saved(tmp_path / "network.safetensors", network=DESCRIPTION | {"width": width})
    with pytest.raises(ValueError, match="do not fit its own model card"):
        load_network(path)


class _Trap:
    """Unpickled, it writes a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.proof}'",)


def test_pickle_under_our_suffix_is_refused_and_not_executed(tmp_path: Path) -> None:
    proof, path = tmp_path / "executed", tmp_path / "network.safetensors"
    path.write_bytes(pickle.dumps(_Trap(proof)))
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_network(path)
    assert not proof.exists()
    pickle.loads(path.read_bytes())  # the trap itself works
    assert proof.exists()


def test_pytorch_file_under_our_suffix_is_refused_and_not_executed(tmp_path: Path) -> None:
    proof, path = tmp_path / "executed", tmp_path / "network.safetensors"
    torch.save({"weights": _network().state_dict(), "trap": _Trap(proof)}, path)
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_network(path)
    assert not proof.exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_without_a_card_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "network.safetensors"
    save_file({name: value.half() for name, value in _network().state_dict().items()}, path, metadata=metadata)
    with pytest.raises(ValueError, match="no impasto model card"):
        load_network(path)


@pytest.mark.parametrize("kept", [0, 4, 100, -1000, -1])
def test_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = _saved(tmp_path / "network.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"network\.safetensors is not a safetensors file"):
        load_network(path)


# ---------------------------------------------------------------- writes that fail


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_and_the_old_file_stays(tmp_path: Path, bad: float) -> None:
    path = _saved(tmp_path / "network.safetensors")
    before, network = path.read_bytes(), _network()
    with torch.no_grad():
        network.decoder[1].conv.weight[0, 0, 0, 0] = bad  # type: ignore[operator, union-attr]
    with pytest.raises(ValueError, match=r"decoder\.1\.conv\.weight are not finite"):
        save_network(path, network, CARD)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [SafetensorError("No space left on device"), OSError(28, "No space left on device")])
@pytest.mark.parametrize("exists", [False, True])
def test_write_that_fails_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, exists: bool
) -> None:
    path = tmp_path / "network.safetensors"
    before = _saved(path).read_bytes() if exists else None

    def half(tensors: dict[str, Tensor], filename: Path, metadata: dict[str, str]) -> None:
        Path(filename).write_bytes(b"half")
        raise error

    monkeypatch.setattr("impasto.networks.storage.save_file", half)
    with pytest.raises(OSError, match="No space left"):
        save_network(path, _network(), CARD)
    assert (path.read_bytes() if path.exists() else None) == before
    assert list(tmp_path.iterdir()) == ([path] if exists else [])


def test_card_that_is_no_json_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_network(tmp_path / "network.safetensors", _network(), CARD | {"style": torch.zeros(1)})
    assert list(tmp_path.iterdir()) == []


def test_card_is_readable_without_us(tmp_path: Path) -> None:
    with safe_open(_saved(tmp_path / "network.safetensors"), framework="pt") as file:
        assert json.loads(file.metadata()["impasto"]) == CARD
