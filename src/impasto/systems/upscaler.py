"""Training a super-resolution network with a pixel or a feature loss (Johnson 2016, sec. 4.2)."""

from collections.abc import Callable
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.color import studio_luma
from impasto.data import PatchBatch
from impasto.losses import PerceptualLoss, PixelLoss
from impasto.resampling import as_stored, crop_to_multiple, degrade, upscale
from impasto.systems.augmentation import AS_THEY_ARE, Augmentation
from impasto.systems.system import System, Training, image_metrics


class UpscalerSystem(System):
    """One super-resolution network, one loss.

    Args:
        network: from (N, 3, H, W) to (N, 3, factor H, factor W), RGB.
        loss: between the output and the patch.
        factor: of the network.
        sigma: of the blur before the downsampling of sample photographs, in their pixels.
        augmentation: what the loss is shown in training.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PerceptualLoss | PixelLoss,
        *,
        factor: int,
        sigma: float,
        augmentation: Augmentation = AS_THEY_ARE,
        **training: Unpack[Training],
    ) -> None:
        super().__init__(network, **training)
        self.loss = loss.to(memory_format=self.memory_format)
        self.factor, self.sigma, self.augmentation = factor, sigma, augmentation
        self.images = image_metrics(255.0)

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> made smaller and enlarged again, sides cut to multiples of the factor."""
        output: Tensor = self.trained.forward(self._low(image))  # uncompiled: samples come in many sizes
        return output

    def _low(self, image: Tensor) -> Tensor:
        return degrade(crop_to_multiple(image, self.factor), self.factor, sigma=self.sigma)

    def shown(self, photo: Tensor, output: Tensor) -> list[Tensor]:
        """What a sheet of samples shows of one photograph, (3, H, W) each: low, bicubic, output, truth."""
        low = self._low(photo[None])
        large = functional.interpolate(low, scale_factor=self.factor, mode="nearest")
        truth = crop_to_multiple(photo[None], self.factor)
        return [large[0], upscale(low, self.factor)[0].clamp(0, 1), output, truth[0]]

    def _terms(
        self, low: Tensor, image: Tensor, network: Callable[[Tensor], Tensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        low, image = (x.contiguous(memory_format=self.memory_format) for x in (low, image))
        output = network(low)
        if self.training:
            image, output, _ = self.augmentation(image, output, step=self.global_step)
        found: dict[str, Tensor] = self.loss(output, self.loss.targets(image))
        return found, output

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; log its terms."""
        terms, _ = self._terms(batch.low, batch.image, self.network)
        return self.log_training(terms)

    def validation_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Log the means of the terms, PSNR and SSIM of the luma as stored in eight bits, borders left out."""
        terms, output = self._terms(batch.low, batch.image, self.trained.forward)
        self.log_validation(terms, count=len(batch.image))
        inner = (..., slice(self.factor, -self.factor), slice(self.factor, -self.factor))
        with torch.autocast(batch.image.device.type, enabled=False):  # variances of SSIM are small differences
            self.images.update(studio_luma(as_stored(output.float()))[inner], studio_luma(batch.image)[inner])
        self.log_dict(self.images, batch_size=len(batch.image))
