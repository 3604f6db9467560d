"""A trained network is found by run folder, file or shipped name."""

import json
import re
from pathlib import Path

import pytest
import torch

from impasto.networks import (
    FACTORS,
    ConditionalStylizer,
    Stylizer,
    Upscaler,
    network_card,
    norms_of,
    save_network,
)
from impasto.trained import (
    WEIGHTS,
    load_mix,
    load_named,
    load_run,
    load_shipped,
    load_trunk,
    mixed_style,
    shipped,
    shipped_styles,
)

CARD = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}


def test_at_least_ten_styles_are_shipped_in_one_small_network_that_says_where_it_comes_from() -> None:
    assert len(shipped("stylizer")) >= 10 and shipped("stylizer")[0] == "starry_night"
    (path,) = (WEIGHTS / "stylizer").glob("*.safetensors")
    assert path.stat().st_size <= 4_000_000
    card = network_card(path)
    assert [style["name"] for style in card["styles"]] == shipped("stylizer")
    assert all(style["rights"] == "public domain" for style in card["styles"])
    assert card["steps"] >= 1000 or "7,160 steps" in card["start"]
    assert card["final"]["val/loss"] > 0
    assert "vgg16" in card["loss_network"]
    assert "/work" not in str(card) and "/home" not in str(card) and "/tmp" not in str(card)


def test_a_colorizer_that_is_not_shipped_says_how_to_train_one() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"method\.network=nothing.*'impasto train experiment=iizuka2016_scenes'"
    ):
        load_shipped("nothing", system="colorizer")


@pytest.mark.parametrize("name", shipped("colorizer"))
def test_a_shipped_colorizer_says_what_it_tells_and_where_it_comes_from(name: str) -> None:
    card = load_shipped(name, system="colorizer").card
    assert len(card["classes"]) == card["network"]["classes"] >= 2
    assert card["color_space"] in ("lab", "yuv", "rgb")
    assert card["steps"] >= 500 and (card["steps"] >= 1000 or "5,000 steps" in card["start"])
    assert {"val/loss", "val/top1", "val/psnr", "val/ssim"} <= set(card["final"])
    assert "/work" not in str(card) and "/home" not in str(card)


@pytest.mark.parametrize("factor", [4, 8])
def test_an_upscaler_that_is_not_shipped_says_how_to_train_one(
    factor: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.trained.WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        load_shipped(f"x{factor}_pixel", system="upscaler")
    assert str(error.value) == (
        f"no network is shipped for upscaler x{factor}_pixel (shipped: none); 'impasto train "
        f"experiment=upscaler network.factor={factor} loss=pixel' trains one, then give run=<its run folder>"
    )


@pytest.mark.parametrize("name", shipped("upscaler"))
def test_a_shipped_upscaler_is_called_by_its_factor_and_loss(name: str) -> None:
    assert name in [f"x{factor}_{loss}" for factor in FACTORS for loss in ("pixel", "feature")]
    assert (WEIGHTS / "upscaler" / f"{name}.safetensors").stat().st_size <= 2_000_000
    trained = load_shipped(name, system="upscaler")
    assert name.startswith(f"x{trained.network.factor}_")
    assert trained.card["steps"] >= 1000
    assert "/work" not in str(trained.card) and "/home" not in str(trained.card)


def test_an_upscaler_is_found_by_folder_and_by_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = {"system": "upscaler", "network": {"class": "Upscaler", "factor": 8, "width": 8, "blocks": 1}}
    for name in ("run/network", "weights/upscaler/x8_pixel"):
        save_network(tmp_path / f"{name}.safetensors", Upscaler(factor=8, width=8, blocks=1), card)
    monkeypatch.setattr("impasto.trained.WEIGHTS", tmp_path / "weights")
    for text in (str(tmp_path / "run"), "x8_pixel"):
        assert load_named(text).network.factor == 8
    with pytest.raises(ValueError, match=r"holds an upscaler; expected a colorizer \(method=upscaler applies it\)"):
        load_run(tmp_path / "run", system="colorizer")


def test_a_style_without_a_network_says_how_to_train_one() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"did you mean 'starry_night'\?.*'impasto train style=stary_night' trains one"
    ):
        load_shipped("stary_night")


# ---------------------------------------------------------------- by what a user calls it


@pytest.mark.parametrize(("name", "system"), [("starry_night", "stylizer"), ("scenes", "colorizer")])
def test_a_shipped_name_is_found_whatever_its_system(name: str, system: str) -> None:
    for asked in (None, system):
        assert load_named(name, system=asked).card["system"] == system


def test_a_shipped_name_of_another_system_is_not_taken() -> None:
    with pytest.raises(FileNotFoundError, match=r"'starry_night' is neither a run folder, .* nor a shipped network"):
        load_named("starry_night", system="colorizer")


def test_a_run_and_a_file_are_found_by_their_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Stylizer(width=4, blocks=1)
    save_network(tmp_path / "my run" / "network.safetensors", network, CARD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    image = torch.rand(1, 3, 20, 20)
    for text in ("my run", str(tmp_path / "my run"), "my run/network.safetensors", "~/my run"):
        torch.testing.assert_close(load_named(text).network(image), network(image), atol=1e-2, rtol=0)
    with pytest.raises(ValueError, match="holds a stylizer; expected a colorizer"):
        load_named("my run", system="colorizer")


def test_a_folder_does_not_hide_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starry_night").mkdir()
    assert load_named("starry_night").card["style"]["name"] == "starry_night"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stary_night", r"'stary_night' is neither .*; did you mean 'starry_night'\? \(shipped: .*great_wave"),
        ("nothing/here", "'nothing/here' is neither a run folder, a network file nor a shipped network"),
        ("empty", "empty holds no network.safetensors; expected the folder of an 'impasto train' run"),
        ("", "holds no network.safetensors"),
    ],
)
def test_what_is_no_network_is_refused_with_the_nearest_name(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=message):
        load_named(text)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"photo\.jpg is not a safetensors file"):
        load_named(str(tmp_path / "photo.jpg"))


# ---------------------------------------------------------------- one network for many styles


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped network of three styles, the only one."""
    torch.manual_seed(0)
    network = ConditionalStylizer(width=2, styles=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    styles = [{"name": name, "title": name.title()} for name in ("wave", "night", "scream")]
    described = {"class": "ConditionalStylizer", "width": 2, "styles": 3}
    path = tmp_path / "weights" / "stylizer" / "styles.safetensors"
    save_network(path, network, {"system": "stylizer", "network": described, "styles": styles})
    monkeypatch.setattr("impasto.trained.WEIGHTS", tmp_path / "weights")
    return path


def test_every_style_of_a_shipped_network_is_called_by_its_name(many: Path) -> None:
    assert shipped("stylizer") == ["wave", "night", "scream"]
    assert {name: style["title"] for name, style in shipped_styles().items()}["night"] == "Night"
    whole, image = load_run(many, system="stylizer").network, torch.rand(1, 3, 50, 60)
    for number, name in enumerate(("wave", "night", "scream")):
        trained = load_named(name)
        assert trained.card["style"]["name"] == name and "styles" not in trained.card["network"]
        expected = whole(image, torch.nn.functional.one_hot(torch.tensor([number]), 3).float())
        torch.testing.assert_close(trained.network(image), expected, atol=1e-5, rtol=0)


def test_a_mix_is_mixed_in_the_shares_of_its_weights(many: Path) -> None:
    whole, image = load_run(many, system="stylizer").network, torch.rand(1, 3, 50, 60)
    trained = load_mix({"night": 3, "wave": 1.0, "scream": 0})
    assert trained.card["style"]["name"] == "night 75 %, wave 25 %"
    torch.testing.assert_close(trained.network(image), whole(image, torch.tensor([[0.25, 0.75, 0]])), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"nigth": 1.0}, r"no network is shipped for style=nigth; did you mean 'night'\?"),
        ({"night": -1.0}, r"expected styles=\{night: <weight of at least 0>\}, got -1.0"),
        ({"night": "much"}, r"expected styles=\{night: <weight of at least 0>\}, got much"),
        ({"night": 0.0, "wave": 0}, r"expected weights of styles that sum to more than 0, got"),
        ({}, r"expected styles=\{<name>: <weight>, \.\.\.\} of one network, got none"),
    ],
)
def test_what_is_no_mix_is_refused(many: Path, mix: dict[str, float], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_mix(mix)


def test_a_network_of_one_style_has_none_to_choose(tmp_path: Path) -> None:
    save_network(tmp_path / "network.safetensors", Stylizer(width=4, blocks=1), CARD | {"style": {"name": "wave"}})
    with pytest.raises(ValueError, match=r"expected a network of several styles to choose from; this one paints wave"):
        mixed_style(load_run(tmp_path, system="stylizer"), {"wave": 1.0})


def _new_style(path: Path) -> ConditionalStylizer:
    """A style of its own on the shipped trunk."""
    network, card = load_trunk("styles")[:2]
    assert isinstance(network, ConditionalStylizer)
    with torch.no_grad():
        for value in norms_of(network).values():
            value.mul_(1.5)
    save_network(path, network, {"system": "stylizer", "style": {"name": "mine"}, **card})
    return network


def test_a_new_style_on_a_trunk_is_its_norms_alone(many: Path, tmp_path: Path) -> None:
    network = _new_style(tmp_path / "run" / "network.safetensors")
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    assert trained == set(norms_of(network)) and 0 < len(trained) < len(list(network.parameters()))
    assert (tmp_path / "run" / "network.safetensors").stat().st_size < 0.2 * many.stat().st_size
    found, image = load_named(str(tmp_path / "run")), torch.rand(1, 3, 50, 60)
    assert found.card["style"]["name"] == "mine"
    torch.testing.assert_close(found.network(image), network(image), atol=2e-3, rtol=0)


def test_a_style_of_another_trunk_is_refused_with_both(many: Path, tmp_path: Path) -> None:
    _new_style(tmp_path / "network.safetensors")
    card = network_card(many)
    save_network(many, ConditionalStylizer(width=2, styles=3), card)
    with pytest.raises(ValueError, match=r"is a style for the trunk styles \w{12}, and here is styles \w{12}"):
        load_run(tmp_path, system="stylizer")
    with pytest.raises(FileNotFoundError, match=r"no trunk 'stile' is shipped; did you mean 'styles'\?"):
        load_trunk("stile")


@pytest.mark.parametrize(
    "path", sorted(WEIGHTS.glob("*/*.safetensors")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_the_card_of_a_shipped_network_names_no_path_of_the_machine_that_trained_it(path: Path) -> None:
    assert not re.search(r"[\"'](/|~|[A-Z]:)", json.dumps(network_card(path)))
