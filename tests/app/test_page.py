"""The page in a real browser: a photograph goes in, a style comes out, in full size; two people stay apart."""

import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser import PHONE, Visit, browser
from PIL import Image
from served import served

from impasto.data import sample_paths
from impasto.images import read_image, to_uint8
from impasto.methods import method_of
from impasto.networks import Stylizer, save_network
from impasto.trained import load_run, load_shipped

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(folder / "my_run" / "network.safetensors", Stylizer(width=4, blocks=1), card)
    generator = np.random.default_rng(0)
    for name, size in (("first.png", (90, 130)), ("second.png", (70, 50))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    if find_spec("gradio") is None:
        pytest.skip("no gradio: pip install -e '.[app]'")
    with browser():  # skips before the server is started
        pass
    with served(folder, "app", "networks=[my_run]") as (address, _):
        yield address


def _open(visit: Visit, address: str) -> Any:
    page = visit.page
    page.goto(address)
    page.wait_for_selector("#photograph input[type=file]", state="attached")
    page.get_by_role("button", name="Example: coffee").wait_for()
    return page


def _result(page: Any, name: str) -> None:
    page.locator("#note").get_by_text(name).wait_for(timeout=60_000)


def _download(page: Any, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the result").click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file


def _pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        assert image.format == "PNG"
        return np.asarray(image).astype(int)


def _strength(page: Any, percent: int) -> None:
    field = page.get_by_label("number input for Strength")
    field.fill(str(percent))
    field.blur()
    page.wait_for_function(
        "value => getComputedStyle(document.querySelector('.after')).opacity == value", arg=percent / 100
    )


def _check(visit: Visit, address: str) -> None:
    """Nothing went wrong, and no other host was asked; the page itself leaves a stream when it has its answer."""
    assert [e for e in visit.errors if "ERR_ABORTED" not in e or "/gradio_api/" not in e] == []
    hosts = {urlsplit(url).netloc for url in visit.requests if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(address).netloc}


def test_a_photograph_is_painted_mixed_and_downloaded_in_full_size(address: str, folder: Path, tmp_path: Path) -> None:
    photo, network = read_image(folder / "first.png"), load_run(folder / "my_run", system="stylizer")
    base, result = to_uint8(photo).astype(int), to_uint8(method_of(network)(photo[None])[0].image).astype(int)
    with browser() as visit:
        page = _open(visit, address)
        assert page.title() == "impasto"
        page.get_by_label("Paint in a style of your own (my_run)").check()
        page.set_input_files("#photograph input[type=file]", folder / "first.png")
        _result(page, "first_my_run.png, 130 x 90 pixels")
        file = _download(page, tmp_path)
        assert file.name == "first_my_run.png"
        assert np.abs(_pixels(file) - result).max() <= 1  # another process may round the network's sums otherwise
        assert (_pixels(file) == result).mean() > 0.999
        asked = len(visit.requests)
        _strength(page, 40)
        assert len(visit.requests) == asked  # the browser mixes what it shows
        mixed = _pixels(_download(page, tmp_path))
        assert np.abs(mixed - (base + 0.4 * (result - base))).max() <= 1.5
        _strength(page, 0)
        assert np.array_equal(_pixels(_download(page, tmp_path)), base)
        _check(visit, address)


def test_what_is_shown_is_what_was_computed(address: str, folder: Path) -> None:
    with browser() as visit:
        page = _open(visit, address)
        page.get_by_label("Paint in a style of your own (my_run)").check()
        page.set_input_files("#photograph input[type=file]", folder / "first.png")
        _result(page, "first_my_run.png")
        shown = page.evaluate(
            """async () => {
              const image = document.querySelector('.stage .before');
              await image.decode();
              const canvas = document.createElement('canvas');
              [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
              const context = canvas.getContext('2d');
              context.drawImage(image, 0, 0);
              return [canvas.height, canvas.width, [...context.getImageData(0, 0, canvas.width, canvas.height).data]];
            }"""
        )
        pixels = np.array(shown[2]).reshape(shown[0], shown[1], 4)[..., :3]
        assert np.array_equal(pixels, _pixels(folder / "first.png"))  # lossless


def test_an_example_is_coloured_and_its_scenes_are_told(address: str, tmp_path: Path) -> None:
    with browser(viewport=PHONE, touch=True) as visit:
        page = _open(visit, address)
        page.get_by_label("Colour a grey photograph").check()
        page.get_by_role("button", name="Example: camera").click()
        _result(page, "camera_scenes.png, 512 x 512 pixels")
        coloured = _pixels(_download(page, tmp_path))
        assert page.locator("#note").get_by_text("The network sees:").is_visible()
        photo = read_image(Path(sample_paths(["camera.png"])[0]))
        expected = method_of(load_shipped("scenes", system="colorizer"))(photo[None])[0]
        assert np.abs(coloured - to_uint8(expected.image)).mean() < 0.1
        assert np.ptp(coloured, axis=2).max() > 10
        _strength(page, 0)
        assert np.ptp(_pixels(_download(page, tmp_path)), axis=2).max() <= 1
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]  # nothing stands out on a phone
        _check(visit, address)


def test_another_choice_works_on_the_same_photograph_by_keyboard(address: str, folder: Path) -> None:
    with browser() as visit:
        page = _open(visit, address)
        page.get_by_role("button", name="Example: chelsea").focus()
        page.keyboard.press("Enter")
        _result(page, "chelsea_starry_night.png, 451 x 300 pixels")
        page.get_by_role("button", name="The Great Wave off Kanagawa", exact=True).focus()
        page.keyboard.press("Space")
        _result(page, "chelsea_great_wave.png, 451 x 300 pixels")
        page.get_by_label("Divider between before and after").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        cut = page.evaluate("getComputedStyle(document.querySelector('.stage')).getPropertyValue('--cut')")
        assert cut == "51%"
        _check(visit, address)


def test_what_is_no_photograph_is_told_and_the_page_goes_on(address: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no photograph")
    with browser() as visit:
        page = _open(visit, address)
        page.get_by_label("Paint in a style of your own (my_run)").check()
        page.set_input_files("#photograph input[type=file]", tmp_path / "notes.png")
        toast = page.get_by_text("notes.png is no image that can be read")
        toast.wait_for()
        assert "/" not in toast.inner_text() and "Traceback" not in page.content()
        assert page.get_by_role("button", name="Download the result").is_disabled()
        page.set_input_files("#photograph input[type=file]", folder / "second.png")
        _result(page, "second_my_run.png, 50 x 70 pixels")
        _check(visit, address)


def test_two_sessions_do_not_mix(address: str, folder: Path, tmp_path: Path) -> None:
    with browser() as visit:
        other = visit.page.context.browser.new_context()  # another person: no shared cookies
        pages = [_open(each, address) for each in (visit, Visit(other.new_page()))]
        for page, name in zip(pages, ("first", "second"), strict=True):
            page.get_by_label("Paint in a style of your own (my_run)").check()
            page.set_input_files("#photograph input[type=file]", folder / f"{name}.png")
        for page, size in zip(pages, ((90, 130, 3), (70, 50, 3)), strict=True):
            page.locator("#note").get_by_text("_my_run.png").wait_for(timeout=60_000)
            assert _pixels(_download(page, tmp_path)).shape == size
        assert pages[0].locator("#note").inner_text() == "first_my_run.png, 130 x 90 pixels"
        fresh = other.new_page()
        fresh.goto(address)
        fresh.get_by_text("The photograph, before and after, appears here.").wait_for()
        assert fresh.get_by_role("button", name="Download the result").is_disabled()


def test_ctrl_c_ends_it_at_once_while_a_network_runs_and_a_browser_listens(address: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.jpg")
    with served(tmp_path, "app") as (own, process), browser() as visit:
        page = _open(visit, own)
        page.get_by_label("Colour a grey photograph").check()
        page.set_input_files("#photograph input[type=file]", tmp_path / "large.jpg")
        page.get_by_text("processing").first.wait_for()
        page.wait_for_timeout(1500)  # until it is within the network
        assert "large" not in page.locator("#note").inner_text()
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=5)[0]  # uvicorn alone would wait for the browser
    assert (output, process.returncode) == (f"open {own} in a browser; Ctrl-C ends it\n", 0)
