"""Laws of methods: a trained network as a function of one photograph, whatever its system."""

import copy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from impasto.color import Colours, MatchedColours, PhotoChroma, colour_code, yuv
from impasto.colorization import colorize
from impasto.images import is_grey, resized
from impasto.memory import activation_bytes
from impasto.methods import PLAIN, Applied, Colouring, Seen, Stylizing, Upscaling, method_of
from impasto.networks import (
    Colorizer,
    ConditionalStylizer,
    JohnsonStylizer,
    JohnsonUpscaler,
    Stylizer,
    Trained,
    Upscaler,
    fold_batch_norm,
)
from impasto.resampling import upscale
from impasto.strips import Strips

CLASSES = ["sand", "sea", "wood"]


def _stylizer(network: torch.nn.Module | None = None) -> Trained:
    torch.manual_seed(0)
    return Trained((network or Stylizer(width=4, blocks=1)).eval(), {"system": "stylizer"})


def _colorizer() -> Trained:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"width": 2, "classes": 3, "channels": 2, "global_size": 32, "mean": 0.5}
    network = Colorizer(**sizes, global_features=True).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.weight.mul_(4)  # vivid colours, which differ with the size
    return Trained(network, {"system": "colorizer", "classes": CLASSES, "color_space": "lab", "size": 32})


def _upscaler(network: torch.nn.Module | None = None) -> Trained:
    """An upscaler of vivid details."""
    torch.manual_seed(0)
    network = copy.deepcopy(network or Upscaler(factor=4, width=8, blocks=2)).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                module.weight.mul_(2)
        if isinstance(network, Upscaler):
            torch.nn.init.normal_(network.to_rgb.weight, std=0.5)
    return Trained(network, {"system": "upscaler"})


def _photo(height: int = 33, width: int = 47) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))


def test_each_system_has_its_method() -> None:
    assert isinstance(method_of(_stylizer()), Stylizing)
    assert isinstance(method_of(_colorizer()), Colouring)
    assert isinstance(method_of(_upscaler()), Upscaling)


@pytest.mark.parametrize("card", [{"system": "painter"}, {}])
def test_a_network_of_another_system_is_refused(card: dict[str, str]) -> None:
    message = f"expected a network of stylizer, colorizer, upscaler, got one of {card.get('system')}"
    with pytest.raises(ValueError, match=message):
        method_of(Trained(torch.nn.Identity(), card))


@pytest.mark.parametrize(
    ("trained", "height", "width"),
    [
        *((trained, *size) for trained in (_stylizer(), _colorizer()) for size in ((33, 47), (64, 40), (17, 16))),
        (_stylizer(JohnsonStylizer(width=4)), 61, 50),  # sides that the paper's network rounds up
    ],
)
def test_a_result_has_the_photographs_size_and_range(trained: Trained, height: int, width: int) -> None:
    photo = _photo(height, width)
    before = photo.clone()
    found = method_of(trained)(photo[None])[0]
    assert isinstance(found, Applied)
    assert found.image.shape == photo.shape and found.image.dtype == torch.float32
    assert found.image.min() >= 0 and found.image.max() <= 1
    assert not found.image.requires_grad
    assert torch.equal(photo, before)


def test_stylizing_is_the_network_and_says_nothing() -> None:
    trained, photo = _stylizer(), _photo(32, 48)
    found = method_of(trained)(photo[None])[0]
    with torch.no_grad():
        torch.testing.assert_close(found.image, trained.network(photo[None])[0])
    assert found.seen == Seen()


def test_a_large_picture_looks_as_its_preview_and_a_small_one_as_ever() -> None:
    trained = _stylizer()
    photo = functional.interpolate(_photo(12, 18)[None], scale_factor=8, mode="bicubic").clamp(0, 1)  # 144 px
    preview = Stylizing(trained)(resized(photo, (32, 48)))[0].image
    naive, alike = (Stylizing(trained, look_size=size)(photo)[0].image for size in (None, 48))
    gaps = [(resized(image[None], (32, 48))[0] - preview).abs().mean() for image in (naive, alike)]
    assert gaps[1] < gaps[0] / 2
    assert alike.shape == photo.shape[1:] and (alike - resized(preview[None], (96, 144))[0]).abs().mean() > 1e-3
    assert torch.equal(Stylizing(trained, look_size=144)(photo)[0].image, naive)


def test_colouring_is_the_colorizer_at_the_size_of_its_training() -> None:
    trained, photo = _colorizer(), _photo(64, 80)
    found = method_of(trained)(photo[None])[0]
    with torch.no_grad():
        expected = colorize(trained.network, photo[None], code=colour_code("lab"), size=32).image[0]
        other = colorize(trained.network, photo[None], code=colour_code("lab"), size=64).image[0]
    torch.testing.assert_close(found.image, expected, atol=5e-4, rtol=0)
    torch.testing.assert_close(Colouring(trained, size=64)(photo[None])[0].image, other, atol=5e-4, rtol=0)
    assert (expected - other).abs().max() > 1e-3


def test_colouring_tells_the_scenes_and_whether_colours_were_passed_over() -> None:
    method = method_of(_colorizer())
    grey = method(_photo().mean(dim=0, keepdim=True).expand(1, 3, -1, -1))[0].seen
    colour = method(_photo()[None])[0].seen
    assert sorted(name for name, _ in grey.scenes) == CLASSES
    assert colour.lost_colours and not grey.lost_colours


def test_a_photograph_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(needed: float, what: str, **_: object) -> None:
        raise ValueError(f"{what} would take {needed}")

    monkeypatch.setattr("impasto.methods.method.free_memory", float)  # none
    monkeypatch.setattr("impasto.methods.method.check_memory", refuse)
    for trained in (_stylizer(), _colorizer()):
        with pytest.raises(ValueError, match="an image of 47 x 33 pixels would take"):
            method_of(trained)(_photo()[None])[0]
    with pytest.raises(ValueError, match="an image of 47 x 33 pixels, 188 x 132 when enlarged, would take"):
        method_of(_upscaler())(_photo()[None])[0]


def test_a_gpus_memory_is_for_the_network_and_the_machines_for_what_is_done_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, float] = {}
    monkeypatch.setattr("impasto.methods.method.free_memory", float)  # none
    monkeypatch.setattr(
        "impasto.methods.method.check_memory", lambda needed, _, *, device, fits: asked.update({device: needed})
    )

    def engine(trained: Trained, *, device: str) -> Any:
        return PLAIN(trained)

    photo = _photo(32, 48)[None]
    for trained in (_stylizer(), _colorizer(), _upscaler()):
        method_of(trained)(photo)
        whole = asked.pop("cpu")
        method_of(trained, partial(engine, device="cuda:1"))(photo)
        assert asked["cuda:1"] > 0 and asked.pop("cuda:1") + asked.pop("cpu") == whole and not asked


# ---------------------------------------------------------------- enlarging


def _johnson(factor: int) -> torch.nn.Module:
    network = JohnsonUpscaler(factor=factor, width=4, blocks=2)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, -1, 1)  # or zero padding would hardly differ from what lies there
    return network.eval()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (33, 47)])
@pytest.mark.parametrize("factor", [4, 8])
def test_an_enlarged_photograph_is_as_many_times_larger(factor: int, height: int, width: int) -> None:
    networks = [Upscaler(factor=factor, width=8, blocks=1), _johnson(factor), fold_batch_norm(_johnson(factor))]
    photo = _photo(height, width)
    before = photo.clone()
    for network in networks:
        found = Upscaling(_upscaler(network))(photo[None])[0]
        assert found.image.shape == (3, factor * height, factor * width) and found.image.dtype == torch.float32
        assert found.image.min() >= 0 and found.image.max() <= 1
        assert found.seen == Seen() and not found.image.requires_grad
    assert torch.equal(photo, before)


def test_enlarging_is_the_network_within_range() -> None:
    trained, photo = _upscaler(), _photo()
    with torch.no_grad():
        expected = trained.network(photo[None])[0]
    assert expected.min() < -0.01 and expected.max() > 1.01
    found = Upscaling(trained)(photo[None])[0].image
    torch.testing.assert_close(found, expected.clamp(0, 1))
    assert (found - upscale(photo[None], 4)[0].clamp(0, 1)).abs().mean() > 0.01


@pytest.mark.parametrize(
    "network",
    [
        Upscaler(factor=4, width=8, blocks=3),
        *[Upscaler(factor=8, width=8, blocks=1, upsampling=mode) for mode in ("nearest", "bilinear")],
        _johnson(4),
        _johnson(8),
    ],
)
@pytest.mark.parametrize("photo", [_photo(61, 50), _photo(7, 90)], ids=["both", "one"])
def test_tiles_leave_no_trace(network: torch.nn.Module, photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = _upscaler(network)
    whole = Upscaling(trained, tile=None)(photo[None])[0].image
    torch.testing.assert_close(Upscaling(trained, tile=17)(photo[None])[0].image, whole, atol=1e-5, rtol=0)
    monkeypatch.setattr("impasto.methods.upscaling._reach", lambda _: 1)
    assert (Upscaling(trained, tile=17)(photo[None])[0].image - whole).abs().max() > 1e-3


def test_a_tile_bounds_what_the_network_sees_and_what_is_asked_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, seen, asked = _upscaler(), [], []
    trained.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2:]))
    monkeypatch.setattr("impasto.methods.method.free_memory", float)  # none
    monkeypatch.setattr("impasto.methods.method.check_memory", lambda needed, _, **__: asked.append(needed))
    method = Upscaling(trained, tile=20)
    method(_photo(100, 30)[None])
    surroundings = 2 * (1 + 4 + 2 + 1)  # head, two blocks of two, two enlargements, to RGB
    assert len(seen) == 1 + 5 * 2  # the first is the estimate's
    assert max(map(max, seen)) <= 20 + surroundings
    assert asked[0] == pytest.approx(activation_bytes(trained.network, 36, 30) + 64 * 400 * 120)


def test_a_grey_photograph_stays_grey_and_one_in_colour_does_not() -> None:
    trained = _upscaler()
    grey = _photo().mean(dim=0, keepdim=True).expand(3, -1, -1)
    with torch.no_grad():
        plain = trained.network(grey[None]).clamp(0, 1)
    assert not is_grey(plain[0])
    found = Upscaling(trained)(grey[None])[0].image
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    torch.testing.assert_close(found[0], yuv().split(plain)[0, 0], atol=1e-3, rtol=0)
    assert not is_grey(Upscaling(trained)(_photo()[None])[0].image)


def test_matched_histograms_are_the_photographs() -> None:
    photo = _photo(24, 30) * torch.tensor([1.0, 0.6, 0.3])[:, None, None]
    plain = Upscaling(_upscaler())(photo[None])[0].image
    matched = Upscaling(_upscaler(), match_histograms=True)(photo[None])[0].image
    shares = torch.linspace(0.05, 0.95, 10)
    wanted = photo.flatten(1).quantile(shares, dim=1)
    assert (plain.flatten(1).quantile(shares, dim=1) - wanted).abs().max() > 0.05
    torch.testing.assert_close(matched.flatten(1).quantile(shares, dim=1), wanted, atol=0.01, rtol=0)


def test_a_network_that_enlarges_nothing_is_no_upscaler() -> None:
    with pytest.raises(ValueError, match="expected a network that enlarges, got Stylizer"):
        Upscaling(_stylizer())


# ---------------------------------------------------------------- of any system


# ---------------------------------------------------------------- strength and colours of a painted photograph


def test_strength_goes_from_the_photograph_to_the_picture() -> None:
    trained, photo = _stylizer(), _photo()[None]
    painted = Stylizing(trained)(photo)[0].image
    gaps = []
    for strength in (0.0, 0.25, 0.5, 1.0):
        found = Stylizing(trained, strength=strength)(photo)[0].image
        torch.testing.assert_close(found, photo[0] + strength * (painted - photo[0]))
        gaps.append(float((found - photo[0]).abs().mean()))
    assert gaps == sorted(gaps) and gaps[0] == 0


@pytest.mark.parametrize("strength", [-0.1, 1.1, True, "half", float("nan")])
def test_a_strength_out_of_range_is_refused(strength: Any) -> None:
    with pytest.raises(ValueError, match=r"expected strength from 0 \(the photograph\) to 1 \(painted\), got"):
        Stylizing(_stylizer(), strength=strength)


def test_colours_are_the_photographs_where_they_shall_be() -> None:
    trained, photos = _stylizer(), torch.stack([_photo(), _photo().flip(0)])
    chroma = [Stylizing(trained, colours=PhotoChroma(space=yuv(), grey=grey))(photos) for grey in (False, True)]
    for applied in chroma:
        for photo, found in zip(photos, applied, strict=True):
            ours, theirs = (yuv().split(image[None])[:, 1:] for image in (found.image, photo))
            assert ((ours * theirs).sum(dim=1) > -1e-4).all()  # reduced at most, where RGB has no such colour
            assert float((ours - theirs).abs().mean()) < 0.2 * float(theirs.abs().mean())
    assert not torch.equal(chroma[0][0].image, chroma[1][0].image)
    for photo, found in zip(photos, Stylizing(trained, colours=MatchedColours())(photos), strict=True):
        assert (found.image.mean(dim=(1, 2)) - photo.mean(dim=(1, 2))).abs().max() < 0.03


def test_a_network_of_several_styles_wants_one_chosen() -> None:
    trained = Trained(ConditionalStylizer(width=2, styles=2), {"styles": [{"name": "a"}, {"name": "b"}]})
    with pytest.raises(ValueError, match=r"this network paints a, b; give style=<one of them>"):
        Stylizing(trained)


# ---------------------------------------------------------------- strip by strip


@pytest.mark.parametrize(("strength", "look_size"), [(0.4, None), (1.0, None), (1.0, 60)])
@pytest.mark.parametrize(
    "colours", [None, MatchedColours(), *(PhotoChroma(space=yuv(), grey=grey) for grey in (False, True))]
)
def test_strips_are_painted_as_the_whole(
    colours: Colours | None,
    strength: float,
    look_size: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("impasto.strips._BYTES", 30_000)
    method = Stylizing(_stylizer(), strength=strength, colours=colours, look_size=look_size)
    photo = _photo(131, 47)
    strips = Strips((1, 3, 131, 47), lambda a, b: photo[None, :, a:b].clone(), like=photo, folder=tmp_path)
    found = torch.cat(list(method.paint_strips(strips)), dim=2)
    torch.testing.assert_close(found[0], method(photo[None])[0].image, atol=1e-3, rtol=0)


def test_a_photograph_is_large_where_it_does_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    method = Stylizing(_stylizer())
    monkeypatch.setattr("impasto.methods.stylizing.free_memory", lambda _: 10e6)
    assert method.is_large(300, 400) and not method.is_large(30, 40)
    monkeypatch.setattr("impasto.methods.stylizing.free_memory", lambda _: 1e15)
    assert method.is_large(4000, 4000) and not method.is_large(3999, 4000)


def test_layers_that_do_not_fit_onto_the_disk_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    strips = Strips((1, 3, 900, 800), lambda a, b: torch.zeros(1, 3, b - a, 800), like=torch.zeros(0), folder=tmp_path)
    message = rf"painting 800 x 900 pixels would take about 0\.\d GiB on the disk of {tmp_path} and 0\.0 GiB is free"
    with pytest.raises(ValueError, match=message):
        Stylizing(_stylizer()).paint_strips(strips)
