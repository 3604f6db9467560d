"""Views of one picture: cut alike, mirrored and turned, and a loss that knows which it sees."""

import pytest
import torch
from tiny import tiny_vgg
from torch import Tensor

from impasto.losses import VIEWS, PerceptualLoss, jittered, mean_square, squared_frobenius, turned


@pytest.mark.parametrize("by", [-1, 24])
def test_a_jitter_that_leaves_nothing_is_refused(by: int) -> None:
    with pytest.raises(ValueError, match=f"expected a jitter from 0 to below the shorter side of 24, got {by}"):
        jittered(torch.rand(1, 3, 24, 30), by=by)


def test_images_of_several_sizes_are_not_cut_to_one() -> None:
    with pytest.raises(ValueError, match=r"expected an output of the photograph's size, got \(24, 30\) and \(24, 32\)"):
        jittered(torch.rand(1, 3, 24, 30), torch.rand(1, 3, 24, 32), by=8)


def test_the_eight_views_of_a_square_are_all_others_and_one_of_its_four_turns_or_their_mirror_images() -> None:
    image = torch.rand(1, 3, 5, 5)
    expected = [side.rot90(k, (-2, -1)) for side in (image, image.flip(-1)) for k in range(4)]
    views = [turned(image, view) for view in range(VIEWS)]
    assert all(sum(torch.equal(view, other) for view in views) == 1 for other in expected)
    assert views[0] is image


@pytest.mark.parametrize("view", range(1, VIEWS))
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_view_keeps_the_memory_format_and_exchanges_sides_from_4_on(
    view: int, memory_format: torch.memory_format
) -> None:
    image = torch.rand(2, 3, 4, 6).contiguous(memory_format=memory_format)
    found = turned(image, view)
    assert found.is_contiguous(memory_format=memory_format)
    assert found.shape == ((2, 3, 6, 4) if view & 4 else (2, 3, 4, 6))


@pytest.mark.parametrize("view", [-1, 8])
def test_another_view_is_refused(view: int) -> None:
    with pytest.raises(ValueError, match=f"expected a view from 0 to 7, got {view}"):
        turned(torch.rand(1, 3, 4, 4), view)


def _loss(style: Tensor, views: int, **more: int) -> PerceptualLoss:
    return PerceptualLoss(
        tiny_vgg(),
        style,
        content_layers={"relu2_2": 1.0},
        style_layers={"relu1_2": 1.0, "relu2_2": 1.0},
        weights={"content": 1.0, "style": 1.0, "tv": 1.0},
        content_distance=mean_square,
        style_distance=squared_frobenius,
        views=views,
        **more,
    )


@pytest.mark.parametrize("view", range(VIEWS))
def test_the_loss_compares_with_the_style_in_the_view_that_it_sees(view: int) -> None:
    style = torch.rand(1, 3, 16, 20)
    loss = _loss(style, views=8)
    shown = turned(style, view)
    found = [float(loss(shown, loss.targets(shown), views=[other])["style"]) for other in range(VIEWS)]
    assert found[view] < 1e-9 and min(value for other, value in enumerate(found) if other != view) > 1e-6
    assert found[0] == pytest.approx(float(_loss(style, views=1)(shown, loss.targets(shown))["style"]), abs=1e-9)


@pytest.mark.parametrize("views", [0, 9])
def test_more_views_than_there_are_or_none_is_refused(views: int) -> None:
    with pytest.raises(ValueError, match=f"expected views from 1 to 8, got {views}"):
        _loss(torch.rand(1, 3, 16, 16), views=views)


def test_each_photograph_of_a_batch_is_compared_in_its_own_view() -> None:
    style, photo = torch.rand(1, 3, 16, 16), torch.rand(12, 3, 16, 16)
    loss = _loss(style, views=8)
    shown, output, views = loss.varied(photo, photo.clone(), step=0)
    assert len(set(views)) > 3 and torch.equal(shown, output)
    assert all(torch.equal(shown[i, None], turned(photo[i, None], view)) for i, view in enumerate(views))
    whole = loss(1 - shown, loss.targets(shown), views=views)
    single = [loss(1 - shown[i, None], loss.targets(shown[i, None]), views=[view]) for i, view in enumerate(views)]
    assert whole["style"] == pytest.approx(float(torch.stack([terms["style"] for terms in single]).mean()), rel=1e-5)


def test_one_seed_and_step_show_the_same_and_others_do_not() -> None:
    loss, photo = _loss(torch.rand(1, 3, 16, 16), views=8), torch.rand(12, 3, 16, 16)
    found = {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        for step in (0, 1):
            found[seed, step] = loss.varied(photo, photo, step=step)[2]
            torch.rand(1)
            assert loss.varied(photo, photo, step=step)[2] == found[seed, step]
    assert len({tuple(views) for views in found.values()}) == 4


def test_more_than_four_views_of_what_is_no_square_are_refused() -> None:
    photo = torch.rand(2, 3, 16, 20)
    with pytest.raises(ValueError, match=r"expected square photographs for 8 views, got \(16, 20\)"):
        _loss(torch.rand(1, 3, 16, 16), views=8).varied(photo, photo, step=0)
    assert _loss(torch.rand(1, 3, 16, 16), views=4).varied(photo, photo, step=0)[0].shape == photo.shape


def test_each_look_has_a_cut_and_a_view_of_its_own() -> None:
    photo = torch.rand(6, 3, 24, 24)
    loss = _loss(torch.rand(1, 3, 16, 16), views=8, jitter=8, looks=2)
    shown, output, views = loss.varied(photo, photo.clone(), step=0)
    assert shown.shape == (12, 3, 16, 16) and torch.equal(shown, output) and len(views) == 12
    assert views[:6] != views[6:]
    upright = [turned(shown[i, None], {5: 6, 6: 5}.get(view, view)) for i, view in enumerate(views)]  # 5 undoes 6
    assert all(float(x.flatten()[0]) in photo[i % 6] for i, x in enumerate(upright))  # of the photograph it belongs to


def test_no_look_and_looks_that_would_all_show_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected looks=1, .* got looks=0"):
        _loss(torch.rand(1, 3, 16, 16), views=8, looks=0)
    with pytest.raises(ValueError, match=r"expected looks=1, or more with jitter or views .* got looks=2"):
        _loss(torch.rand(1, 3, 16, 16), views=1, looks=2)
