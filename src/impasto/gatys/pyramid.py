"""Sizes from coarse to fine, and how many steps each gets."""

_RATIO = 2**0.5


def pyramid_sizes(size: int, *, smallest: int) -> list[int]:
    """List longer sides from coarse to fine, each sqrt(2) times the one before, the last one `size`.

    Args:
        size: of the result, in pixels.
        smallest: no level is smaller; a number of at least `size` gives one level.

    Returns:
        At least one size.

    Raises:
        ValueError: a size below 1.

    Source:
        Gatys, Ecker, Bethge, Hertzmann, Shechtman 2017, "Controlling Perceptual Factors in Neural Style Transfer":
        coarse to fine; the ratio is that of crowsonkb/style-transfer-pytorch.
    """
    if size < 1 or smallest < 1:
        raise ValueError(f"expected sizes of at least 1 pixel, got size={size} and smallest={smallest}")
    sizes = [size]
    while smallest <= round(size / _RATIO ** len(sizes)) < sizes[0]:
        sizes.insert(0, round(size / _RATIO ** len(sizes)))
    return sizes


def split_steps(steps: int, sizes: list[int]) -> list[int]:
    """Divide closure calls over the sizes: the same number for each, what is left over to the finest.

    Raises:
        ValueError: fewer steps than sizes.
    """
    if steps < len(sizes):
        raise ValueError(f"expected at least one step for each of the sizes {sizes}, got steps={steps}")
    each = steps // len(sizes)
    return [each] * (len(sizes) - 1) + [steps - each * (len(sizes) - 1)]
