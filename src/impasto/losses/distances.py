"""The distances in which the papers differ, and total variation."""

from collections.abc import Callable

from torch import Tensor

from impasto.losses.grams import full

Distance = Callable[[Tensor, Tensor], Tensor]


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference, over everything but the batch.

    Johnson 2016 eq. 2 for features (1 / CHW); for Gram matrices it is the official code's choice (StyleLoss.lua),
    1 / C^2 of the paper's norm.

    Args:
        a: (N, ...).
        b: (N or 1, ...).

    Returns:
        (N,).
    """
    return (full(a) - full(b)).square().flatten(1).mean(dim=1)


def squared_frobenius(a: Tensor, b: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference: a sum over everything but the batch.

    Johnson 2016 eq. 4 for Gram matrices.

    Args:
        a: (N, ...).
        b: (N or 1, ...).

    Returns:
        (N,).
    """
    return (full(a) - full(b)).square().flatten(1).sum(dim=1)


def total_variation(image: Tensor) -> Tensor:
    """Sum of squared differences between neighbours, down and across.

    Johnson 2016 sec. 3.2, after Mahendran and Vedaldi 2015.

    Args:
        image: RGB in [0, 1], (N, 3, H, W). At 0..255 the value would be 65,025 times larger: that is the factor by
            which a weight for [0, 1] exceeds the papers' weights.

    Returns:
        (N,).
    """
    image = full(image)
    down = image[..., 1:, :] - image[..., :-1, :]
    across = image[..., :, 1:] - image[..., :, :-1]
    return down.square().flatten(1).sum(dim=1) + across.square().flatten(1).sum(dim=1)
