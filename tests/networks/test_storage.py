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

from impasto.networks import JohnsonStylizer, Stylizer, load_network, save_network

DESCRIPTION = {"class": "Stylizer", "width": 4, "blocks": 1}
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


def _saved(path: Path, *, network: dict[str, Any] | None = None) -> Path:
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


def test_batch_norm_statistics_survive_the_round_trip(tmp_path: Path) -> None:
    network = JohnsonStylizer(width=2)
    network(torch.rand(2, 3, 41, 43, generator=torch.Generator().manual_seed(0)))  # one step of running statistics
    card = CARD | {"network": {"class": "JohnsonStylizer", "width": 2}}
    save_network(tmp_path / "network.safetensors", network, card)
    loaded = load_network(tmp_path / "network.safetensors").network
    assert isinstance(loaded, JohnsonStylizer)
    image = torch.rand(1, 3, 41, 43, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loaded(image), network.eval()(image), rtol=0, atol=5e-3)
    assert int(loaded.state_dict()["layers.2.num_batches_tracked"]) == 1


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


@pytest.mark.parametrize("network", [Stylizer(width=32, blocks=5), JohnsonStylizer(width=32)])
def test_file_at_width_32_is_under_4_megabytes(tmp_path: Path, network: nn.Module) -> None:
    save_network(tmp_path / "network.safetensors", network, CARD)
    assert 2 * 1_679_235 < (tmp_path / "network.safetensors").stat().st_size < 4e6


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
    ],
    ids=["unknown argument", "missing argument", "argument of another type", "no class", "class of another type"],
)
def test_card_with_a_description_that_does_not_fit_is_refused(tmp_path: Path, network: dict[str, Any]) -> None:
    path = _saved(tmp_path / "network.safetensors", network=network)
    with pytest.raises(ValueError, match=r"network\.safetensors"):
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
