"""What a training step shows the loss of photograph and output: cut, mirrored and turned alike."""

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.chance import generator_of

VIEWS = 8  # of a square: itself, mirrored, turned


def jittered(*images: Tensor, by: int, generator: torch.Generator | None = None) -> list[Tensor]:
    """Cut the same `by` rows and columns from images of one size, as chance has it from the one side or the other.

    (N, C, H, W) -> (N, C, H - by, W - by) each. Source: Olah, Mordvintsev, Schubert 2017, "Feature Visualization":
    transformation robustness.
    """
    sizes = [tuple(image.shape[-2:]) for image in images]
    if len(set(sizes)) > 1:
        raise ValueError(f"expected an output of the photograph's size, got {' and '.join(map(str, sizes))}")
    height, width = images[0].shape[-2] - by, images[0].shape[-1] - by
    if by < 0 or min(height, width) < 1:
        raise ValueError(f"expected a jitter from 0 to below the shorter side of {min(height, width) + by}, got {by}")
    top, left = torch.randint(by + 1, (2,), generator=generator).tolist()
    return [image[..., top : top + height, left : left + width] for image in images]


def turned(image: Tensor, view: int) -> Tensor:
    """Mirror and turn an image (N, C, H, W), in one of the eight ways that keep its pixels and its memory format.

    The view, 0 to 7, is a sum: 1 exchanges left and right, 2 above and below, 4 rows and columns.
    """
    if view == 0:
        return image
    last = image.is_contiguous(memory_format=torch.channels_last)
    mirrored = image.flip([side for bit, side in ((1, -1), (2, -2)) if view & bit])
    exchanged = mirrored.transpose(-1, -2) if view & 4 else mirrored
    return exchanged.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How often and in which ways a training step shows each photograph and its output.

    No pattern can then hold to the loss network's grid, or to what it happens to see only upright. More repeats are of
    use where the loss network costs little beside the network that is trained.
    """

    jitter: int = 0  # rows and columns that are left out, on other sides at each step; 0 shows all
    views: int = 1  # of 8 (`turned`), out of which chance takes one for each; 1 shows all as they are
    repeats: int = 1  # how often each is shown, with a cut and a view of its own each time

    def __post_init__(self) -> None:
        if not 1 <= self.views <= VIEWS:
            raise ValueError(f"expected system.augmentation.views from 1 to {VIEWS}, got {self.views}")
        if self.repeats < 1 or (self.repeats > 1 and self.jitter == 0 and self.views == 1):
            raise ValueError(
                f"expected repeats=1, or more with jitter or views (else all are alike), got {self.repeats}"
            )

    def __call__(self, photo: Tensor, output: Tensor, *, step: int) -> tuple[Tensor, Tensor, list[int]]:
        """Cut and turn photographs and their outputs, (N, 3, H, W), alike; with more than 4 views, H must be W.

        PyTorch's seed and the step determine how, so that a training which resumes goes on as it would have. Returns
        both, (repeats N, 3, H - jitter, W - jitter), and the number of each one's view.
        """
        if self.jitter == 0 and self.views == 1:
            return photo, output, [0] * len(photo)
        if self.views > 4 and photo.shape[-2] != photo.shape[-1]:
            raise ValueError(f"expected square photographs for {self.views} views, got {tuple(photo.shape[-2:])}")
        last = photo.is_contiguous(memory_format=torch.channels_last)
        memory_format = torch.channels_last if last else torch.contiguous_format
        photo, output = (x.repeat(self.repeats, 1, 1, 1) for x in (photo, output))
        generator = generator_of(torch.initial_seed(), step)
        views = torch.randint(self.views, (len(photo),), generator=generator).tolist()
        pairs = [
            [turned(x, view) for x in jittered(*pair, by=self.jitter, generator=generator)]
            for view, *pair in zip(views, photo[:, None], output[:, None], strict=True)
        ]
        shown = [torch.cat(parts).contiguous(memory_format=memory_format) for parts in zip(*pairs, strict=True)]
        return shown[0], shown[1], views


AS_THEY_ARE = Augmentation()
