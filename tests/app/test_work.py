"""The page's own work: mixing, reading within limits, full size. None of it needs gradio."""

import struct
import zlib
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import EpsImagePlugin, Image

import impasto.app
from impasto.app.work import Choice, Work, do, list_choices, painting, read_photograph, write_png
from impasto.color import Colours, MatchedColours, PaintingColours, PhotoChroma, yuv
from impasto.images import read_image, to_uint8
from impasto.methods import Stylizing, method_of
from impasto.networks import JohnsonStylizer, Stylizer, Upscaler, load_network, save_network
from impasto.resampling import upscale
from impasto.trained import load_mix, load_named, load_shipped, shipped

do_small = partial(do, colours=PaintingColours(), most_megapixels=16)


def _random(height: int = 33, width: int = 47, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _photograph(path: Path, height: int = 33, width: int = 47) -> Path:
    Image.fromarray(_random(height, width)).save(path)
    return path


def _choice(name: str) -> Choice:
    if name in shipped("stylizer"):
        return painting({name: 1}, device="cpu")
    return next(choice for choice in list_choices([], device="cpu") if choice.name == name)


@pytest.fixture
def work() -> Work:
    return Work("a.png", _random(seed=1), _random(seed=2))


def test_no_strength_is_the_base_exactly(work: Work) -> None:
    assert np.array_equal(work.mixed(0), work.base)


def test_full_strength_is_the_result_exactly(work: Work) -> None:
    assert np.array_equal(work.mixed(1), work.result)


def test_strength_mixes_in_rgb_to_the_nearest_level(work: Work) -> None:
    for strength in (0.13, 0.5, 0.99):
        exact = work.base + strength * (work.result.astype(float) - work.base)
        assert np.abs(work.mixed(strength) - exact).max() <= 0.5 + 1e-4


def test_more_strength_is_never_nearer_to_the_base(work: Work) -> None:
    away = [np.abs(work.mixed(percent / 100).astype(int) - work.base) for percent in range(0, 101, 5)]
    for less, more in pairwise(away):
        assert (more >= less).all()
    assert (away[-1] > away[0]).any()


def test_mixing_changes_neither_side(work: Work) -> None:
    before = (work.base.copy(), work.result.copy())
    work.mixed(0.5)
    assert np.array_equal(before[0], work.base) and np.array_equal(before[1], work.result)


@pytest.mark.parametrize("name", ["the_scream", "scenes"])
def test_the_download_is_the_methods_result_in_full_size(name: str, tmp_path: Path) -> None:
    photo = _photograph(tmp_path / "holiday (1).png", 75, 101)
    choice = _choice(name)
    done = do_small(photo, choice)
    file = write_png(tmp_path / "out" / done.name, done.mixed(1))
    assert file.name == f"holiday (1)_{name}.png"
    with Image.open(file) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (101, 75))
        result = method_of(choice.trained)(read_image(photo)[None])[0].image
        assert np.abs(np.asarray(image).astype(int) - to_uint8(result)).max() <= 1


def test_a_style_starts_from_the_photograph_and_a_colorizer_from_grey(tmp_path: Path) -> None:
    photo = _photograph(tmp_path / "a.png")
    assert np.array_equal(do_small(photo, _choice("starry_night")).mixed(0), _random())
    done = do_small(photo, _choice("scenes"))
    assert (np.ptp(done.mixed(0).astype(int), axis=2) <= 1).all()
    assert done.seen.lost_colours and done.seen.scenes


def test_the_papers_network_which_rounds_sizes_up_keeps_them_here(tmp_path: Path) -> None:
    card = {"system": "stylizer", "network": {"class": "JohnsonStylizer", "width": 4}}
    save_network(tmp_path / "mine.safetensors", JohnsonStylizer(width=4), card)
    choices = list_choices([("mine", load_network(tmp_path / "mine.safetensors"))], device="cpu")
    done = do_small(_photograph(tmp_path / "a.png", 45, 63), choices[-1])
    assert done.result.shape == done.base.shape == (45, 63, 3)


def test_ones_own_networks_have_names_of_their_own(tmp_path: Path) -> None:
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    files = [tmp_path / "run" / "network.safetensors", tmp_path / "b" / "run.safetensors"]
    for file in files:
        save_network(file, Stylizer(width=4, blocks=1), card)
    named = [str(files[0].parent), str(files[1]), "starry_night"]
    choices = list_choices([(name, load_named(name)) for name in named], device="cpu")
    names = [choice.name for choice in choices]
    assert names == [*shipped("colorizer"), *shipped("upscaler"), "run", "run-2"]
    assert len({choice.label for choice in choices}) == len(choices)
    assert str(tmp_path) not in "".join(choice.label for choice in choices)


@pytest.fixture
def upscalers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Choice]:
    """The choices where two upscalers are shipped and one is the user's own."""
    folder = tmp_path / "weights" / "upscaler"
    for path, factor in ((folder / "x4_feature", 4), (folder / "x8_pixel", 8), (tmp_path / "run" / "network", 4)):
        card = {"system": "upscaler", "network": {"class": "Upscaler", "factor": factor, "width": 8, "blocks": 1}}
        network = Upscaler(factor=factor, width=8, blocks=1)
        torch.nn.init.normal_(network.to_rgb.weight)
        save_network(path.with_suffix(".safetensors"), network, card)
    monkeypatch.setattr("impasto.trained.WEIGHTS", folder.parent)
    own = str(tmp_path / "run")
    return {choice.name: choice for choice in list_choices([(own, load_named(own))], device="cpu")}


def test_an_upscaler_is_called_by_its_factor_and_what_it_was_trained_for(upscalers: dict[str, Choice]) -> None:
    assert {name: choice.label for name, choice in upscalers.items() if name != "scenes"} == {
        "x4_feature": "Enlarge 4 x, sharp",
        "x8_pixel": "Enlarge 8 x, faithful",
        "run": "Enlarge 4 x (run)",
    }


@pytest.mark.parametrize(("name", "factor"), [("x4_feature", 4), ("x8_pixel", 8)])
def test_an_enlarged_photograph_starts_from_the_bicubic_image(
    name: str, factor: int, upscalers: dict[str, Choice], tmp_path: Path
) -> None:
    photo = _photograph(tmp_path / "a.png")
    done = do_small(photo, upscalers[name])
    assert done.name == f"a_{name}.png"
    assert done.base.shape == done.result.shape == (33 * factor, 47 * factor, 3)
    image = read_image(photo)
    assert np.array_equal(done.mixed(0), to_uint8(upscale(image[None], factor)[0]))
    result = to_uint8(method_of(upscalers[name].trained)(image[None])[0].image)
    assert np.abs(done.mixed(1).astype(int) - result).max() <= 1
    assert not np.array_equal(done.mixed(0), done.mixed(1))


def test_an_enlarged_result_has_twice_the_limit_at_most(upscalers: dict[str, Choice], tmp_path: Path) -> None:
    photo = _photograph(tmp_path / "a.png", 20, 50)
    do_small(photo, upscalers["run"], most_megapixels=0.008)
    message = r"^a.png has 0.016 megapixels when it is enlarged 4 x; this page takes 0.01598 at most$"
    with pytest.raises(ValueError, match=message):
        do_small(photo, upscalers["run"], most_megapixels=0.00799)


def _png(width: int, height: int) -> bytes:
    """A PNG whose header promises more than it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def _refuses(path: Path, choice: Choice, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        do_small(path, choice)
    assert str(path.parent) not in str(raised.value)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.png").write_bytes(_png(50_000, 50_000))

    def decode(*_: object, **__: object) -> None:
        raise AssertionError("was decoded")

    monkeypatch.setattr("impasto.app.work.read_image", decode)
    message = "bomb.png has 2500 megapixels; this page takes 16 at most"
    _refuses(tmp_path / "bomb.png", _choice("starry_night"), message)


def test_the_limit_of_pixels_itself_is_taken(tmp_path: Path) -> None:
    photo = _photograph(tmp_path / "a.png", 20, 50)
    assert read_photograph(photo, most_megapixels=0.001).shape == (3, 20, 50)
    with pytest.raises(ValueError, match=r"this page takes 0\.000999 at most"):
        read_photograph(photo, most_megapixels=0.000999)


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


@pytest.mark.parametrize("text", ["hello", "", EPS, SVG, "%PDF-1.4\n", "P3 1 1 255 0 0 0\n"])
def test_what_is_no_photograph_is_refused_by_its_content(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_text(text)

    def start(*_: object, **__: object) -> None:
        raise AssertionError("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", start)
    _refuses(tmp_path / "a.png", _choice("scenes"), "^a.png is no image that can be read; expected JPEG, PNG")


def test_a_damaged_file_is_named_without_its_folder(tmp_path: Path) -> None:
    whole = _photograph(tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    _refuses(tmp_path / "half.png", _choice("scenes"), "^half.png is damaged")
    (tmp_path / "header.png").write_bytes(b"BM" + bytes(12) + b"\x0e" + bytes(40))
    _refuses(tmp_path / "header.png", _choice("scenes"), "^header.png is damaged: Unsupported BMP header")
    _refuses(tmp_path / "gone.png", _choice("scenes"), "^the photograph was deleted here after an hour")


def test_memory_is_refused_in_words_for_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Free:
        available = 2**19

    photo = _photograph(tmp_path / "a.png")
    choice = _choice("starry_night")
    monkeypatch.setattr("psutil.virtual_memory", Free)
    _refuses(photo, choice, "GiB is free; (give a smaller image|one whose longer side has [0-9]+ pixels would fit)$")


def test_animated_cmyk_16_bit_palette_and_grey_files_are_taken(tmp_path: Path) -> None:
    frames = [Image.fromarray(_random(seed=seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(tmp_path / "animated.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "animated.png", save_all=True, append_images=frames[1:])
    frames[0].convert("CMYK").save(tmp_path / "cmyk.jpg")
    frames[0].convert("P").save(tmp_path / "palette.png")
    frames[0].convert("L").save(tmp_path / "grey.bmp")
    Image.fromarray(_random()[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(_random()[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.tif")
    files = sorted(path for path in tmp_path.iterdir())
    assert len(files) == 8
    for file in files:
        assert read_photograph(file, most_megapixels=1).shape == (3, 33, 47), file
    deep = read_photograph(tmp_path / "deep.png", most_megapixels=1)
    assert np.array_equal(to_uint8(deep)[..., 0], _random()[..., 0])


def test_pixels_survive_the_file_and_what_is_shown_is_bounded(tmp_path: Path) -> None:
    for pixels, shape in ((_random(), (33, 47, 3)), (_random(300, 2000), (192, 1280, 3))):
        with Image.open(write_png(tmp_path / "new" / "a.png", pixels, longest=1280)) as image:
            assert np.asarray(image).shape == shape
            assert shape != pixels.shape or np.array_equal(np.asarray(image), pixels)


def test_a_tile_larger_than_the_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _random(1, 1)[..., 0], tile=(1024, 1024), compression="zlib")
    with pytest.raises(ValueError, match=r"a\.tif has 1\.049 megapixels; this page takes 1 at most"):
        read_photograph(tmp_path / "a.tif", most_megapixels=1)
    assert read_photograph(tmp_path / "a.tif", most_megapixels=1.1).shape == (3, 1, 1)


# ---------------------------------------------------------------- styles and colours


def test_a_mix_is_that_of_apply(tmp_path: Path) -> None:
    mix = {"starry_night": 0.6, "great_wave": 0.4}
    photo = _photograph(tmp_path / "a.png")
    done = do_small(photo, painting(mix, device="cpu"))
    assert done.name == "a_starry_night_great_wave.png"
    assert np.array_equal(done.result, to_uint8(Stylizing(load_mix(mix))(read_image(photo)[None])[0].image))


@pytest.mark.parametrize("mix", [{}, {"starry_night": 0}, {"starry_night": -1}])
def test_weights_that_cannot_be_mixed_are_refused(mix: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"expected (weights of )?styles"):
        painting(mix, device="cpu")


@pytest.mark.parametrize("colours", [PhotoChroma(space=yuv(), grey=True), MatchedColours()])
def test_colours_are_those_of_apply_and_of_paintings_alone(tmp_path: Path, colours: Colours) -> None:
    photo = _photograph(tmp_path / "a.png")
    expected = to_uint8(Stylizing(load_shipped("udnie"), colours=colours)(read_image(photo)[None])[0].image)
    done = do_small(photo, _choice("udnie"), colours=colours)
    assert np.abs(done.result.astype(int) - expected).max() <= 1 and np.array_equal(done.base, _random())
    scenes = _choice("scenes")
    assert np.array_equal(do_small(photo, scenes, colours=colours).result, do_small(photo, scenes).result)


def test_every_shipped_style_has_a_picture_of_itself() -> None:
    """docs/measure/style_tiles.py paints them."""
    files = (Path(impasto.app.__file__).parent / "styles").iterdir()
    assert sorted(file.stem for file in files) == sorted(shipped("stylizer"))
