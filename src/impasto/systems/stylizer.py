"""Training a style network with the perceptual loss (Johnson 2016)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from impasto.data import Batch
from impasto.losses import PerceptualLoss
from impasto.networks.training import quicken
from impasto.systems.steps import finite_sum, scheduled


class StylizerSystem(LightningModule):
    """One style network, one perceptual loss.

    The loss network's weights are no parameters and in no state dict, so the optimiser does not see them and
    checkpoints do not hold them.

    Args:
        network: from (N, 3, H, W) to (N, 3, H, W), RGB in [0, 1].
        loss: holds the style.
        optimizer: from parameters to an optimiser.
        scheduler: from the optimiser to a schedule that is stepped every step; None keeps the rate.
        channels_last: keep weights and activations in that memory format; faster with bf16.
        compiled: compile the network (`torch.compile`) before the first step.

    Raises:
        FloatingPointError: a term of the loss is not finite; names the term and the step.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PerceptualLoss,
        *,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None,
        channels_last: bool,
        compiled: bool,
    ) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.build_optimizer, self.build_scheduler = optimizer, scheduler
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        if channels_last and not compiled:
            quicken(self.network)
        if compiled:
            self.network.compile()  # in place: the keys of the state dict stay as they are

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
        terms = self._terms(batch.image, self.network)
        total = finite_sum(terms, step=self.global_step)
        named = {f"train/{name}": value.detach() for name, value in {**terms, "loss": total}.items()}
        self.log_dict(named, prog_bar=True, sync_dist=True)  # of all processes' photographs
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the means of the terms over all held-out photographs, on every rank alike."""
        terms = self._terms(batch.image, self.forward)
        terms["loss"] = torch.stack(list(terms.values())).sum()
        named = {f"val/{name}": value for name, value in terms.items()}
        self.log_dict(named, batch_size=len(batch.image), sync_dist=True)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (one of seven shapes, says Lightning)
        """Build the optimiser over the network's parameters only."""
        return scheduled(self.build_optimizer(self.network.parameters()), self.build_scheduler)
