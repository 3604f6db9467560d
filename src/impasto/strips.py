"""Images that are too large for memory: computed strip by strip, with what layers make of them kept in files."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

_BYTES = 8_000_000  # of a strip and of what a layer makes of it
_FEWEST = 8  # rows of a strip: with fewer, most of what is read are its neighbours
_Number = int | float
_Two = int | Sequence[int]
_Bias = Tensor | None
_Moments = tuple[Tensor, Tensor]  # mean and variance of each channel, (C,), float64
Rows = Callable[[int, int], Tensor]  # from the first row and the one behind the last to them, (1, C, rows, W)


class Strips:
    """Stands for a tensor (1, C, H, W): a network that is called with one is computed strip by strip, and exactly.

    What a convolution makes is kept in a file, with the mean and the variance of each channel, which an instance norm
    needs of the whole; what lies between two convolutions is computed as a strip is read. A strip is read with as many
    rows around it as the layer sees, so that there is no seam. A file is gone when nothing refers to it any more.

    Args:
        shape: (1, C, H, W).
        compute: any of its rows, of the type and on the device of `like`, as a tensor that may be changed in place.
        folder: where files lie.
    """

    def __init__(
        self, shape: Sequence[int], compute: Rows, *, like: Tensor, folder: Path, moments: _Moments | None = None
    ) -> None:
        self.shape, self._compute, self.folder, self.moments = torch.Size(shape), compute, folder, moments
        self.like = like.new_empty(0)
        self.dtype, self.device = like.dtype, like.device

    @torch.inference_mode()
    def rows(self, first: int, last: int) -> Tensor:
        """Compute the rows from the first to the one before the last, (1, C, rows, W)."""
        return self._compute(first, last)

    def __iter__(self) -> Iterator[Tensor]:
        return (self.rows(*part) for part in _parts(self.shape[2], 4 * self.shape.numel() * self.like.itemsize))

    def map(self, function: Callable[..., Tensor], *others: "Strips", like: Tensor | None = None) -> "Strips":
        """Return what a function of pixels makes of these, and of others of the same size."""
        images = (self, *others)
        return self._with(self.shape, lambda a, b: function(*(each.rows(a, b) for each in images)), like=like)

    def _with(self, shape: Sequence[int], compute: Rows, *, like: Tensor | None = None) -> "Strips":
        return Strips(shape, compute, like=self.like if like is None else like, folder=self.folder)

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
    return function(image, *others) if isinstance(image, Tensor) else image.map(function, *others)


def _parts(height: int, weight: int) -> Iterator[tuple[int, int]]:
    """Divide the rows of something of so many bytes into strips."""
    step = max(_FEWEST, _BYTES * height // weight // _FEWEST * _FEWEST)
    return ((first, min(height, first + step)) for first in range(0, height, step))


def _stored(x: Strips, shape: Sequence[int], compute: Rows) -> Strips:
    """Compute all strips of a shape and write them to a file; gather mean and variance of each channel.

    In place, since what is allocated between two strips and stays keeps their memory from being used again.
    Source: Chan, Golub, LeVeque 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances".
    """
    file = _File(shape, like=x.like, folder=x.folder)
    mean, squares = torch.zeros(2, shape[1], dtype=torch.float64)
    for first, last in _parts(shape[2], x.like.itemsize * (x.shape.numel() + torch.Size(shape).numel())):
        strip = compute(first, last)
        own, variance = _moments(strip)
        rows, gap = last - first, own - mean
        mean += gap * (rows / last)
        squares += rows * variance + gap.square() * (first * rows / last)
        file.write(first, strip)
    return Strips(shape, file.read, like=x.like, folder=x.folder, moments=(mean, squares / shape[2]))


def _moments(strip: Tensor) -> _Moments:
    """Mean and variance of each channel, (C,), by the kernel of group norm: a tenth of the time of `torch.var_mean`."""
    _, channels, rows, width = strip.shape
    exact = strip.to(torch.promote_types(strip.dtype, torch.float32))
    _, mean, scale = torch.native_group_norm(exact, None, None, 1, channels, rows * width, channels, 0.0)
    return mean[0].cpu().double(), scale[0].cpu().double().square().reciprocal()


class _File:
    """A tensor (1, C, H, W) that is written and read strip by strip; the file is gone with this object."""

    def __init__(self, shape: Sequence[int], *, like: Tensor, folder: Path) -> None:
        _, self.channels, self.height, self.width = shape
        self.file, self.dtype, self.device = TemporaryFile(dir=folder), like.dtype, like.device  # noqa: SIM115
        self.memory_format = torch.contiguous_format  # or that of the first strip
        weakref.finalize(self, self.file.close)

    def write(self, first: int, strip: Tensor) -> None:
        if first == 0 and strip.stride(1) == 1:
            self.memory_format = torch.channels_last
        for plane in self._planes(first, strip.cpu()):
            self.file.write(_bytes(plane.contiguous()))

    def read(self, first: int, last: int) -> Tensor:
        shape = (1, self.channels, last - first, self.width)
        rows = torch.empty(shape, dtype=self.dtype, memory_format=self.memory_format)
        for plane in self._planes(first, rows):
            self.file.readinto(_bytes(plane))
        return rows.to(self.device)

    def _planes(self, first: int, rows: Tensor) -> Iterator[Tensor]:
        """Yield what lies together, a channel (rows, W) or (rows, W C), and find its place in the file."""
        last = self.memory_format == torch.channels_last
        for number, plane in enumerate(rows.permute(0, 2, 3, 1).flatten(2) if last else rows[0]):
            self.file.seek((number * self.height + first) * plane.shape[1] * plane.itemsize)
            yield plane


def _bytes(x: Tensor) -> Any:  # noqa: ANN401
    return x.view(-1).view(torch.uint8).numpy().data


def _two(size: _Two) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _pad(x: Strips, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Strips:
    left, right, top, bottom = pad
    _, channels, height, width = x.shape

    def compute(first: int, last: int) -> Tensor:
        above, below = max(0, top - first), max(0, last - top - height)
        begin, end = max(0, min(first - top, height - 1 - below)), min(height, max(last - top, above + 1))
        padded = functional.pad(x.rows(begin, end), (left, right, above, below), mode, value)
        return padded.narrow(2, first - top + above - begin, last - first)

    return x._with((1, channels, top + height + bottom, left + width + right), compute)


def _conv2d(
    x: Strips, weight: Tensor, bias: _Bias, stride: _Two = 1, padding: _Two = 0, dilation: _Two = 1, groups: int = 1
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
    bias: _Bias,
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


def _instance_norm(x: Strips, *, weight: _Bias, bias: _Bias, eps: float = 1e-5, **_: object) -> Strips:
    moments = x.moments or _stored(x, x.shape, x.rows).moments
    assert moments is not None
    exact = torch.promote_types(x.dtype, torch.float32)
    mean, variance = (moment.to(x.device, exact) for moment in moments)
    scale, shift = (None if value is None else value.to(exact) for value in (weight, bias))
    return x.map(lambda rows: functional.batch_norm(rows, mean, variance, scale, shift, eps=eps))


def _group_norm(x: Strips, groups: int, weight: _Bias, bias: _Bias, eps: float = 1e-5) -> Strips:
    if groups != x.shape[1]:
        raise ValueError(f"expected one channel a group, got {groups} groups of {x.shape[1]} channels")
    return _instance_norm(x, weight=weight, bias=bias, eps=eps)


_FUNCTIONS: dict[Any, Callable[..., Strips]] = {  # of PyTorch, with its arguments
    functional.pad: _pad,
    functional.conv2d: _conv2d,
    functional.conv_transpose2d: _conv_transpose2d,
    functional.pixel_shuffle: _pixel_shuffle,
    functional.instance_norm: _instance_norm,
    functional.group_norm: _group_norm,
    functional.relu: lambda x, **_: x.map(torch.relu_),
    torch.relu: lambda x: x.map(torch.relu_),
    torch.tanh: lambda x: x.map(torch.tanh_),
    torch.sigmoid: lambda x: x.map(torch.sigmoid_),
}
