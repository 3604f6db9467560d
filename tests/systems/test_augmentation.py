"""What a training step shows the loss: photograph and output, cut, mirrored and turned alike."""

import pytest
import torch

from impasto.systems import Augmentation
from impasto.systems.augmentation import VIEWS, jittered, turned


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


@pytest.mark.parametrize("views", [0, 9])
def test_more_views_than_there_are_or_none_is_refused(views: int) -> None:
    with pytest.raises(ValueError, match=f"expected system.augmentation.views from 1 to 8, got {views}"):
        Augmentation(views=views)


def test_one_seed_and_step_show_the_same_and_others_do_not() -> None:
    augmentation, photo = Augmentation(views=8), torch.rand(12, 3, 16, 16)
    found = {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        for step in (0, 1):
            found[seed, step] = augmentation(photo, photo, step=step)[2]
            torch.rand(1)
            assert augmentation(photo, photo, step=step)[2] == found[seed, step]
    assert len({tuple(views) for views in found.values()}) == 4


def test_more_than_four_views_of_what_is_no_square_are_refused() -> None:
    photo = torch.rand(2, 3, 16, 20)
    with pytest.raises(ValueError, match=r"expected square photographs for 8 views, got \(16, 20\)"):
        Augmentation(views=8)(photo, photo, step=0)
    assert Augmentation(views=4)(photo, photo, step=0)[0].shape == photo.shape


def test_each_repeat_has_a_cut_and_a_view_of_its_own() -> None:
    photo = torch.rand(6, 3, 24, 24)
    shown, output, views = Augmentation(views=8, jitter=8, repeats=2)(photo, photo.clone(), step=0)
    assert shown.shape == (12, 3, 16, 16) and torch.equal(shown, output) and len(views) == 12
    assert views[:6] != views[6:]
    upright = [turned(shown[i, None], {5: 6, 6: 5}.get(view, view)) for i, view in enumerate(views)]  # 5 undoes 6
    assert all(float(x.flatten()[0]) in photo[i % 6] for i, x in enumerate(upright))  # of the photograph it belongs to


def test_repeats_that_would_all_show_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match=r"repeats=1, .* got 0"):
        Augmentation(views=8, repeats=0)
    with pytest.raises(ValueError, match=r"repeats=1, or more with jitter or views .* got 2"):
        Augmentation(repeats=2)
