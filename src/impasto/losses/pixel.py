"""The pixel loss, which the perceptual losses are compared with."""

from torch import Tensor, nn

from impasto.losses.distances import mean_square

_GREY_LEVELS = 255.0


class PixelLoss(nn.Module):
    """Mean squared difference of the pixels, in squared grey levels (of 0..255).

    Source:
        Johnson 2016, sec. 3.2: ||output - target||^2 / CHW.
    """

    def targets(self, photo: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> itself."""
        return photo

    def forward(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the mean over the batch.

        Args:
            output: RGB, (N, 3, H, W).
            targets: RGB in [0, 1], of the same shape.

        Returns:
            `{"pixel": scalar}`.

        Raises:
            ValueError: another shape.
        """
        if output.shape != targets.shape:
            raise ValueError(f"expected an output of shape {tuple(targets.shape)}, got {tuple(output.shape)}")
        return {"pixel": mean_square(_GREY_LEVELS * output, _GREY_LEVELS * targets).mean()}
