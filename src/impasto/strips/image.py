"""Images that are too large for memory: computed strip by strip, with what layers make of them kept in files."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from impasto.strips.file import Moments, StripFile

_BYTES = 8_000_000  # of a strip and of what a layer makes of it
_FEWEST = 8  # rows of a strip: with fewer, most of what is read are its neighbours
_Number = int | float
_Two = int | Sequence[int]
Rows = Callable[[int, int], Tensor]  # from the first row and the one behind the last to them, (1, C, rows, W)


class Strips:
    """Stands for a tensor (1, C, H, W): a network that is called with one is computed strip by strip, and exactly.

    What a convolution makes is kept in a file, with the mean and the variance of each channel, which an instance norm
    needs of the whole; what lies between two convolutions is computed as a strip is read. A strip is read with as many
    rows around it as the layer sees, so that there is no seam. A file is gone when nothing refers to it any more.

    Args:
        shape: (1, C, H, W).
        compute: any of its rows, as a tensor that may be changed in place.
        like: has their type and device.
        folder: where files lie.
    """

    def __init__(
        self, shape: Sequence[int], compute: Rows, *, like: Tensor, folder: Path, moments: Moments | None = None
    ) -> None:
        self.shape, self._compute, self.folder, self.moments = torch.Size(shape), compute, folder, moments
        self.like = like.new_empty(0)
        self.dtype, self.device = like.dtype, like.device

    @torch.inference_mode()
    def rows(self, first: int, last: int) -> Tensor:
        """Compute the rows from the first to the one before the last, (1, C, rows, W)."""
        return self._compute(first, last)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield all rows, strip by strip."""
        return (self.rows(*part) for part in _parts(self.shape[2], 4 * self.shape.numel() * self.like.itemsize))

    def map(self, function: Callable[[Tensor], Tensor], *, like: Tensor | None = None) -> "Strips":
        """Return what a function of pixels makes of each."""
        return self._with(self.shape, lambda first, last: function(self.rows(first, last)), like=like)

    def _with(self, shape: Sequence[int], compute: Rows, *, like: Tensor | None = None) -> "Strips":
        return Strips(shape, compute, like=self.like if like is None else like, folder=self.folder)

    # ---------------------------------------------------------------- what networks ask of a tensor

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        known = _FUNCTIONS.get(function)
        return NotImplemented if known is None else known(*args, **(kwargs or {}))

    def dim(self) -> int:
        """As of a tensor; so are those that follow."""
        return len(self.shape)

    def size(self, dim: int) -> int:  # noqa: D102
        return self.shape[dim]

    def to(self, *where: Any, **form: Any) -> "Strips":  # noqa: ANN401, D102
        return self.map(lambda x: x.to(*where, **form), like=self.like.to(*where))

    def float(self) -> "Strips":  # noqa: D102
        return self.to(torch.float32)

    def __add__(self, other: "Strips | Tensor | _Number") -> "Strips":
        """Add a number, a tensor (H, W) or others of the same shape."""
        if isinstance(other, int | float):
            return self.map(lambda x: x + other)
        part: Rows = other.rows if isinstance(other, Strips) else lambda first, last: other[first:last]
        return self._with(self.shape, lambda first, last: self.rows(first, last).add_(part(first, last)))

    def __truediv__(self, other: _Number) -> "Strips":
        """Divide by a number."""
        return self.map(lambda x: x / other)

    def __getitem__(self, key: tuple[Any, slice, slice]) -> "Strips":
        """Cut: `x[..., rows, columns]`."""
        _, channels, height, width = self.shape
        (top, bottom, _), (left, right, _) = key[1].indices(height), key[2].indices(width)
        shape = (1, channels, bottom - top, right - left)
        return self._with(shape, lambda first, last: self.rows(top + first, top + last)[..., left:right])


Image = TypeVar("Image", Tensor, Strips)


def pointwise(function: Callable[..., Tensor], image: Image, *others: Image) -> Image:
    """Apply a function of pixels to images of one size."""
    if isinstance(image, Tensor):
        return function(image, *others)
    images = [each for each in (image, *others) if isinstance(each, Strips)]
    return Strips(
        image.shape,
        lambda first, last: function(*(each.rows(first, last) for each in images)),
        like=image.like,
        folder=image.folder,
    )


def _parts(height: int, weight: int) -> Iterator[tuple[int, int]]:
    """Divide the rows of something of so many bytes into strips."""
    step = max(_FEWEST, _BYTES * height // weight // _FEWEST * _FEWEST)
    return ((first, min(height, first + step)) for first in range(0, height, step))


def _stored(x: Strips, shape: Sequence[int], compute: Rows) -> Strips:
    """Compute all strips of a shape, write them to a file, and gather the moments."""
    file = StripFile(shape, like=x.like, folder=x.folder)
    for first, last in _parts(shape[2], x.like.itemsize * (x.shape.numel() + torch.Size(shape).numel())):
        file.write(first, compute(first, last))
    return Strips(shape, file.read, like=x.like, folder=x.folder, moments=file.moments())


def _two(size: _Two) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


# ---------------------------------------------------------------- layers, with the arguments of PyTorch's functions


def _pad(x: Strips, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Strips:
    left, right, top, bottom = pad
    _, channels, height, width = x.shape

    def source(row: int) -> int:
        """The row that stands at a place inside or outside."""
        return min(max(height - 1 - abs(height - 1 - abs(row)) if mode == "reflect" else row, 0), height - 1)

    def compute(first: int, last: int) -> Tensor:
        wanted = range(first - top, last - top)
        inside = range(max(0, wanted.start), min(height, wanted.stop))
        begin, end = min(map(source, wanted)), max(map(source, wanted)) + 1
        seen = x.rows(begin, end)
        if len(inside) < len(wanted):  # slices are joined, since a list of indices would change the order in memory
            rows = [seen.narrow(2, source(row) - begin, 1) for row in wanted if row not in inside]
            rows = [torch.full_like(row, value or 0.0) for row in rows] if mode == "constant" else rows
            middle = [seen.narrow(2, inside.start - begin, len(inside))] if inside else []
            above = len(range(wanted.start, min(0, wanted.stop)))
            seen = torch.cat([*rows[:above], *middle, *rows[above:]], dim=2)
        return functional.pad(seen, (left, right, 0, 0), mode, value)

    return x._with((1, channels, top + height + bottom, left + width + right), compute)


def _conv2d(
    x: Strips,
    weight: Tensor,
    bias: Tensor | None,
    stride: _Two = 1,
    padding: _Two = 0,
    dilation: _Two = 1,
    groups: int = 1,
) -> Strips:
    (step, across), (rows, columns) = _two(stride), _two(padding)
    x = _pad(x, (columns, columns, rows, rows)) if rows or columns else x
    high, wide = (_two(dilation)[dim] * (weight.shape[2 + dim] - 1) + 1 for dim in (0, 1))

    def compute(first: int, last: int) -> Tensor:
        seen = x.rows(first * step, (last - 1) * step + high)
        return functional.conv2d(seen, weight, bias, stride, 0, dilation, groups)

    return _stored(x, (1, len(weight), (x.shape[2] - high) // step + 1, (x.shape[3] - wide) // across + 1), compute)


def _conv_transpose2d(
    x: Strips,
    weight: Tensor,
    bias: Tensor | None,
    stride: _Two = 1,
    padding: _Two = 0,
    output_padding: _Two = 0,
    groups: int = 1,
    dilation: _Two = 1,
) -> Strips:
    (step, _), (rows, columns), (below, right) = _two(stride), _two(padding), _two(output_padding)
    high, wide = (_two(dilation)[dim] * (weight.shape[2 + dim] - 1) + 1 for dim in (0, 1))
    height, width = x.shape[2:]

    def compute(first: int, last: int) -> Tensor:
        begin = min(height - 1, max(0, (first + rows - high) // step + 1))
        seen = x.rows(begin, min(height, (last - 1 + rows) // step + 1))
        found = functional.conv_transpose2d(seen, weight, bias, stride, (0, columns), output_padding, groups, dilation)
        return found[..., first + rows - begin * step : last + rows - begin * step, :]

    sides = ((height - 1) * step - 2 * rows + high + below, (width - 1) * _two(stride)[1] - 2 * columns + wide + right)
    return _stored(x, (1, weight.shape[1] * groups, *sides), compute)


def _pixel_shuffle(x: Strips, factor: int) -> Strips:
    _, channels, height, width = x.shape

    def compute(first: int, last: int) -> Tensor:
        begin = first // factor
        found = functional.pixel_shuffle(x.rows(begin, -(-last // factor)), factor)
        return found[..., first - begin * factor : last - begin * factor, :]

    return x._with((1, channels // factor**2, height * factor, width * factor), compute)


def _instance_norm(
    x: Strips,
    *,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float = 1e-5,
    **running: Any,  # noqa: ANN401
) -> Strips:
    moments = (x if x.moments is not None else _stored(x, x.shape, x.rows)).moments
    assert moments is not None
    exact = torch.promote_types(x.dtype, torch.float32)
    mean, variance = (moment.to(x.device, exact) for moment in moments)
    scale, shift = (None if value is None else value.to(exact) for value in (weight, bias))
    return x.map(lambda rows: functional.batch_norm(rows, mean, variance, scale, shift, eps=eps))


def _group_norm(x: Strips, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5) -> Strips:
    if groups != x.shape[1]:
        raise ValueError(f"expected one channel a group, got {groups} groups of {x.shape[1]} channels")
    return _instance_norm(x, weight=weight, bias=bias, eps=eps)


def _pointwise(function: Callable[[Tensor], Tensor]) -> Callable[..., Strips]:
    return lambda x, **options: x.map(function)


_FUNCTIONS: dict[Any, Callable[..., Strips]] = {
    functional.pad: _pad,
    functional.conv2d: _conv2d,
    functional.conv_transpose2d: _conv_transpose2d,
    functional.pixel_shuffle: _pixel_shuffle,
    functional.instance_norm: _instance_norm,
    functional.group_norm: _group_norm,
    functional.relu: _pointwise(torch.relu_),
    torch.relu: _pointwise(torch.relu_),
    torch.tanh: _pointwise(torch.tanh_),
    torch.sigmoid: _pointwise(torch.sigmoid_),
}
