"""Average pooling in the place of max pooling, with the activations kept at their scale."""

from torch import Tensor, nn
from torch.nn import functional


class ScaledAveragePool(nn.Module):
    """Average pooling, times a number that makes up for what an average is below a maximum.

    A network trained with max pooling finds smaller activations behind average pooling, and smaller ones still behind
    each further pooling; the losses' weights would then mean something else at every layer.

    Args:
        kernel_size: pixels of the window's side and of the stride.
        scale: of the average.

    Source:
        Gatys, Ecker, Bethge 2015, methods: average pooling "improves the gradient flow"; the scale is ours.
    """

    def __init__(self, *, kernel_size: int, scale: float) -> None:
        super().__init__()
        self.kernel_size, self.scale = kernel_size, scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H / kernel_size, W / kernel_size)."""
        return functional.avg_pool2d(x, self.kernel_size) * self.scale
