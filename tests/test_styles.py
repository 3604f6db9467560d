"""Laws of style images: drawn, from a file, and the user's own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.images import write_image
from impasto.styles import Style, stained_glass, swirls

window = partial(stained_glass, seed=4, cells=5, leading=0.03)
paint = partial(swirls, seed=1, colours=[[0, 0, 80], [250, 200, 60]])


def _style(**changes: Any) -> Style:
    told = {"name": "starry_night", "title": "The Starry Night", "painter": "Vincent van Gogh", "year": "1889"}
    rest = {"rights": "public domain", "source": "moma.org", "file": None, "draw": None, "path": None}
    return Style(**(told | rest | changes))


def _picture(path: Path, *, height: int = 40, width: int = 80) -> Tensor:
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255
    write_image(path, image)
    return image


# ---------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("draw", [window, paint])
def test_a_seed_draws_one_image_whatever_else_is_random(draw: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    first = draw(32)
    before = torch.manual_seed(1).get_state()
    assert torch.equal(draw(32), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert (draw(32) - draw(32, seed=5)).abs().mean() > 0.05


@pytest.mark.parametrize("draw", [window, paint])
@pytest.mark.parametrize("size", [8, 33, 64])
def test_what_is_drawn_is_an_image(draw: Callable[..., Tensor], size: int) -> None:
    image = draw(size)
    assert image.shape == (3, size, size)
    assert image.dtype == torch.float32
    assert 0 <= image.min() <= image.max() <= 1


def test_strokes_are_long_where_they_run_and_short_across() -> None:
    """Somewhere neighbours along the stroke are alike and those across it are not."""
    image = paint(128).mean(dim=0)
    down, across = (
        image.diff(dim=dim).square()[:127, :127].unfold(0, 8, 8).unfold(1, 8, 8).mean((2, 3)) for dim in (0, 1)
    )
    ratio = torch.maximum(down, across) / torch.minimum(down, across)
    assert float(ratio.median()) > 2.5
    flat = torch.rand(128, 128, generator=torch.Generator().manual_seed(0))
    down, across = (
        flat.diff(dim=dim).square()[:127, :127].unfold(0, 8, 8).unfold(1, 8, 8).mean((2, 3)) for dim in (0, 1)
    )
    assert float((torch.maximum(down, across) / torch.minimum(down, across)).median()) < 1.5


@pytest.mark.parametrize(("size", "colours"), [(64, [[1, 2, 3]]), (4, [[0, 0, 0], [1, 1, 1]])])
def test_swirls_of_one_colour_or_of_few_pixels_are_refused(size: int, colours: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=f"at least 2 colours and 8 pixels, got {len(colours)} and {size}"):
        swirls(size, seed=1, colours=colours)


def test_a_window_has_dark_leading_and_saturated_panes() -> None:
    value, lowest = window(128).amax(dim=0), window(128).amin(dim=0)
    dark = (value < 0.15).float().mean()
    assert 0.02 < dark < 0.3
    pane = value > 0.5
    assert pane.float().mean() > 0.4
    saturation = (value - lowest)[pane] / value[pane]
    assert saturation.median() > 0.75


def test_wider_leading_is_darker() -> None:
    assert window(64, leading=0.08).mean() < window(64, leading=0.02).mean() - 0.05


def test_a_larger_window_shows_the_same_panes() -> None:
    reduced = torch.nn.functional.avg_pool2d(window(256)[None], 4)[0]
    assert (reduced - window(64)).abs().mean() < 0.03


# ---------------------------------------------------------------- the style


def test_a_drawn_style_has_the_size_asked_for() -> None:
    assert torch.equal(_style(draw=window).image(40), window(40)[None])


@pytest.mark.parametrize("where", ["file", "path"])
def test_a_style_is_read_from_its_file(tmp_path: Path, where: str) -> None:
    expected = _picture(tmp_path / "a.png")
    style = _style(**{where: str(tmp_path / "a.png")})
    torch.testing.assert_close(style.image(80), expected[None])
    assert style.image(200).shape == (1, 3, 100, 200)


def test_the_users_own_image_takes_the_place_of_file_and_drawing(tmp_path: Path) -> None:
    own = _picture(tmp_path / "own.png", height=33)
    style = _style(path=str(tmp_path / "own.png"), file=str(tmp_path / "gone.jpg"), draw=window)
    torch.testing.assert_close(style.image(80), own[None])


def test_a_missing_painting_says_what_it_is_and_where_to_get_it(tmp_path: Path) -> None:
    message = r"gone\.jpg .*The Starry Night.*Vincent van Gogh.*1889.*moma\.org.*data_root.*style\.path"
    with pytest.raises(FileNotFoundError, match=message):
        _style(file=str(tmp_path / "gone.jpg")).image(20)


def test_a_missing_image_of_the_users_own_is_named_and_no_painting(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mine\.jpg") as caught:
        _style(path=str(tmp_path / "mine.jpg"), file=str(tmp_path / "gone.jpg")).image(20)
    assert "Starry" not in str(caught.value)


def test_what_is_not_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_text("no picture")
    with pytest.raises(ValueError, match=r"mine\.jpg"):
        _style(path=str(tmp_path / "mine.jpg")).image(20)


def test_a_painting_without_strokes_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "stamp.png", torch.rand(3, 20, 48))
    with pytest.raises(
        ValueError, match=r"stamp\.png is too small for a style: expected 32 pixels a side, got 48 x 20"
    ):
        _style(path=str(tmp_path / "stamp.png")).image(64)


def test_a_style_of_nothing_asks_for_an_image() -> None:
    with pytest.raises(ValueError, match=r"style=image needs an image: give style\.path"):
        _style(name="image").image(20)


def test_a_painting_is_described_with_its_history() -> None:
    assert _style(file="a.jpg").describe() == {
        "name": "starry_night",
        "title": "The Starry Night",
        "painter": "Vincent van Gogh",
        "year": "1889",
        "rights": "public domain",
        "source": "moma.org",
    }


def test_the_users_own_image_claims_neither_painter_nor_rights() -> None:
    told = _style(path="/home/me/mine.jpg").describe()
    assert told["name"] == "mine"
    assert told["rights"] == "not stated"
    assert "Vincent van Gogh" not in told.values()
    assert not any("/home/me" in str(value) for value in told.values())
