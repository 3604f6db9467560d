"""Training a style network with the perceptual loss (Johnson 2016)."""

from collections.abc import Callable
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.chance import generator_of
from impasto.data import Batch
from impasto.losses import PerceptualLoss, repeated_share
from impasto.networks.training import keep_channels_last
from impasto.systems.augmentation import AS_THEY_ARE, Augmentation
from impasto.systems.system import System, Training

_GRID = 8  # pixels: that of the two strides, 4, and of a third


class StylizerSystem(System):
    """One style network, one perceptual loss; one style or many.

    Args:
        network: from (N, 3, H, W) to (N, 3, H, W), RGB in [0, 1]; for many styles also from their weights, (N, S).
        loss: holds the style, or the styles, of which each photograph of a step is given one by chance; of each style
            as many views in a row as `augmentation` has (`turned`).
        augmentation: what the loss is shown in training.
        coarse: a loss of which the style term is taken at half the size, for what is larger than a loss network sees;
            None does without.
        grid: weight of the share of an output's variance that repeats every `_GRID` pixels.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PerceptualLoss,
        *,
        augmentation: Augmentation = AS_THEY_ARE,
        coarse: PerceptualLoss | None = None,
        grid: float = 0.0,
        **training: Unpack[Training],
    ) -> None:
        super().__init__(network, **training)
        self.loss = loss.to(memory_format=self.memory_format)
        if not grid >= 0:
            raise ValueError(f"expected system.grid of at least 0, got {grid}")
        self.grid = grid
        self.augmentation, self.styles = augmentation, loss.styles // augmentation.views
        self.coarse = None if coarse is None else coarse.to(memory_format=self.memory_format)
        if training["channels_last"] and not training["compiled"]:
            keep_channels_last(self.network)

    def forward(self, image: Tensor) -> Tensor:
        """Paint photographs in every style, RGB in [0, 1]: (N, 3, H, W) -> (N S, 3, H, W), the first in all S first."""
        numbers = torch.arange(self.styles, device=image.device).repeat(len(image))
        photos = image.repeat_interleave(self.styles, dim=0)
        return self._paint(self.trained.forward, photos, numbers)  # uncompiled: samples come in many sizes

    def shown(self, photo: Tensor, *outputs: Tensor) -> list[Tensor]:
        """What a sheet of samples shows of one photograph, (3, H, W) each: the photograph and the outputs."""
        return [photo, *outputs]

    def _paint(self, network: Callable[..., Tensor], photo: Tensor, styles: Tensor) -> Tensor:
        if self.styles == 1:
            return network(photo)
        weights = functional.one_hot(styles, self.styles)
        return network(photo, weights.to(photo.device, torch.float32, non_blocking=photo.is_cuda))

    def _terms(self, photo: Tensor, network: Callable[..., Tensor], styles: Tensor) -> dict[str, Tensor]:
        photo = photo.contiguous(memory_format=self.memory_format)
        output = self._paint(network, photo, styles)
        grid = self.grid * repeated_share(output, _GRID).mean() if self.grid else None
        views, numbers = [0] * len(photo), styles.tolist()
        if self.training:
            photo, output, views = self.augmentation(photo, output, step=self.global_step)
        numbers = [numbers[i % len(numbers)] * self.augmentation.views + view for i, view in enumerate(views)]
        terms: dict[str, Tensor] = self.loss(output, self.loss.targets(photo), styles=numbers)
        if self.coarse is not None:
            small = functional.avg_pool2d(output, 2).contiguous(memory_format=self.memory_format)
            terms["coarse"] = self.coarse(small, {}, styles=numbers)["style"]
        if grid is not None:
            terms["grid"] = grid
        return terms

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; log its terms."""
        generator = generator_of(torch.initial_seed(), self.global_step)
        styles = torch.randint(self.styles, (len(batch.image),), generator=generator)
        return self.log_training(self._terms(batch.image, self.network, styles))

    def on_validation_epoch_start(self) -> None:
        """Count held-out photographs anew."""
        self._validated = self.global_rank  # the number of the next one, of which every process has its share

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the means of the terms over all held-out photographs, on every rank alike; styles take turns."""
        count, processes = len(batch.image), self.trainer.world_size
        styles = (self._validated + torch.arange(count) * processes) % self.styles
        self._validated += count * processes
        self.log_validation(self._terms(batch.image, self.trained.forward, styles), count=count)
