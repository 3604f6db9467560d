"""docs/measure/interpolated.py: every weight lies between those of two networks, and the card says so."""

import sys
from pathlib import Path

import pytest
import torch

from impasto.cli import conf_dir
from impasto.networks import Upscaler, save_network
from impasto.trained import load_named

sys.path.insert(0, str(conf_dir().parent / "docs" / "measure"))
import interpolated


def test_weights_lie_between_and_the_card_says_so(tmp_path: Path) -> None:
    card = {
        "system": "upscaler",
        "network": {"class": "Upscaler", "factor": 4, "width": 4, "blocks": 1},
        "final": {"loss": 1.0},
    }
    for seed, name in enumerate(["sharp", "faithful"]):
        torch.manual_seed(seed)
        save_network(tmp_path / f"{name}.safetensors", Upscaler(factor=4, width=4, blocks=1), card)
    places = [str(tmp_path / f"{name}.safetensors") for name in ("sharp", "faithful", "between")]
    interpolated.main([places[0], places[1], "0.75", places[2]])
    sharp, faithful, between = (load_named(place).network.state_dict() for place in places)
    for name, value in between.items():
        torch.testing.assert_close(value, 0.75 * sharp[name] + 0.25 * faithful[name], atol=1e-3, rtol=0)
    assert "final" not in load_named(places[2]).card  # figures of the training, not of this network
    assert load_named(places[2]).card["interpolated"] == {"share": 0.75, "with": "faithful"}


@pytest.mark.parametrize(
    ("share", "width", "message"),
    [
        ("1.5", 4, "a share from 0 to 1, got 1.5"),
        ("half", 4, "got half"),
        ("0.5", 8, "b.safetensors has other weights"),
    ],
)
def test_what_cannot_be_mixed_is_said_in_a_sentence(tmp_path: Path, share: str, width: int, message: str) -> None:
    for name, wide in (("a", 4), ("b", width)):
        card = {"system": "upscaler", "network": {"class": "Upscaler", "factor": 4, "width": wide, "blocks": 1}}
        save_network(tmp_path / f"{name}.safetensors", Upscaler(factor=4, width=wide, blocks=1), card)
    places = [str(tmp_path / f"{name}.safetensors") for name in "abc"]
    with pytest.raises(SystemExit, match=message):
        interpolated.main([*places[:2], share, places[2]])
    with pytest.raises(SystemExit, match=r"none\.safetensors"):
        interpolated.main([places[0], str(tmp_path / "none.safetensors"), "0.5", places[2]])
    assert not Path(places[2]).exists()
