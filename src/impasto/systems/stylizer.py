"""Training a style network with the perceptual loss (Johnson 2016)."""

from collections.abc import Callable
from typing import Unpack

from torch import Tensor, nn

from impasto.data import Batch
from impasto.losses import PerceptualLoss
from impasto.networks.training import quicken
from impasto.systems.system import System, Training


class StylizerSystem(System):
    """One style network, one perceptual loss.

    The loss network's weights are no parameters and in no state dict, so the optimiser does not see them and
    checkpoints do not hold them.

    Args:
        network: from (N, 3, H, W) to (N, 3, H, W), RGB in [0, 1].
        loss: holds the style.
        training: how (`Training`).

    Raises:
        FloatingPointError: a term of the loss is not finite; names the term and the step.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PerceptualLoss,
        **training: Unpack[Training],
    ) -> None:
        super().__init__(network, **training)
        self.loss = loss.to(memory_format=self.memory_format)
        if training["channels_last"] and not training["compiled"]:
            quicken(self.network)

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> the same, in the style."""
        output: Tensor = self.network.forward(image)  # uncompiled: samples and validation come in many sizes
        return output

    def shown(self, photo: Tensor, output: Tensor) -> list[Tensor]:
        """What a sheet of samples shows of one photograph, (3, H, W) each: the photograph and the output."""
        return [photo, output]

    def _terms(self, photo: Tensor, network: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        photo = photo.contiguous(memory_format=self.memory_format)
        output = network(photo)
        views = [0]
        if self.training:
            photo, output, views = self.loss.varied(photo, output, step=self.global_step)
        found: dict[str, Tensor] = self.loss(output, self.loss.targets(photo), views=views)
        return found

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; log its terms."""
        return self.log_training(self._terms(batch.image, self.network))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the means of the terms over all held-out photographs, on every rank alike."""
        self.log_validation(self._terms(batch.image, self.forward), count=len(batch.image))
