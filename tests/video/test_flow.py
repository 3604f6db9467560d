"""The optical flow finds known motion, and an image moved along it comes to lie on the other."""

from pathlib import Path

import pytest
import torch
from skimage.registration import optical_flow_ilk
from torch import Tensor

from impasto.data import sample_paths
from impasto.images import read_image
from impasto.video import moved, optical_flow
from impasto.video.steadying import inside, resized_flow


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """Grey, (1, 1, 400, 600)."""
    return read_image(Path(sample_paths(["coffee.png"])[0])).mean(dim=0)[None, None]


def _errors(found: Tensor, expected: Tensor) -> Tensor:
    return (found - expected).norm(dim=1)[inside(expected)[:, 0]]


@pytest.mark.parametrize("shift", [(1, 2), (4, -7)])
def test_a_shift_is_found_and_better_than_by_scikit_image(photo: Tensor, shift: tuple[int, int]) -> None:
    down, across = shift
    first, second = photo[..., 100:250, 200:390], photo[..., 100 - down : 250 - down, 200 - across : 390 - across]
    expected = torch.tensor([across, down]).float().view(1, 2, 1, 1).expand(1, 2, 150, 190)
    errors = _errors(optical_flow(first, second), expected)
    theirs = torch.from_numpy(optical_flow_ilk(first[0, 0].numpy(), second[0, 0].numpy(), radius=6)[::-1].copy())[None]
    assert float(errors.median()) < 0.05 and float((errors > 0.5).float().mean()) < 0.06
    assert float(errors.mean()) < 1.5 * float(_errors(theirs, expected).mean()) + 0.05


def test_no_motion_is_no_flow_and_nothing_to_see_is_none_either(photo: Tensor) -> None:
    assert float(optical_flow(photo, photo).abs().max()) < 1e-3
    assert float(optical_flow(torch.zeros(2, 1, 33, 47), torch.zeros(2, 1, 33, 47)).abs().max()) == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (33, 47)])
def test_small_and_odd_sizes(size: tuple[int, int]) -> None:
    frames = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
    flow = optical_flow(frames, frames.flip(0))
    assert flow.shape == (2, 2, *size) and bool(flow.isfinite().all())


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_whole_pixels_are_moved_as_they_are(mode: str) -> None:
    image = torch.rand(2, 3, 33, 47, generator=torch.Generator().manual_seed(0))
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(2, 2, 33, 47)
    result = moved(image, flow, mode)
    torch.testing.assert_close(result[..., 2:, :44], image[..., :-2, 3:], atol=1e-4, rtol=0)
    assert torch.equal(
        inside(flow)[0, 0],
        torch.ones(33, 47, dtype=torch.bool)
        .index_fill(1, torch.arange(44, 47), False)
        .index_fill(0, torch.arange(2), False),
    )


def test_a_flow_grows_with_its_frame() -> None:
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 10, 20)
    large = resized_flow(flow, (20, 60))
    torch.testing.assert_close(large, torch.tensor([9.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 20, 60))
