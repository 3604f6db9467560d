"""Training a super-resolution network with a pixel or a feature loss (Johnson 2016, sec. 4.2)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MetricCollection
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from impasto.color import studio_luma
from impasto.data import PatchBatch
from impasto.losses import PerceptualLoss, PixelLoss
from impasto.resampling import as_stored, crop_to_multiple, degrade, upscale
from impasto.systems.steps import finite_sum, scheduled


class UpscalerSystem(LightningModule):
    """One super-resolution network, one loss.

    Args:
        network: from (N, 3, H, W) to (N, 3, factor H, factor W), RGB.
        loss: between the output and the patch.
        factor: of the network.
        sigma: of the blur before the downsampling of sample photographs, in their pixels.
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
        loss: PerceptualLoss | PixelLoss,
        *,
        factor: int,
        sigma: float,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None,
        channels_last: bool,
        compiled: bool,
    ) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.factor, self.sigma = factor, sigma
        self.build_optimizer, self.build_scheduler = optimizer, scheduler
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        if compiled:
            self.network.compile()  # in place: the keys of the state dict stay as they are
        self.images = MetricCollection(
            {
                "psnr": PeakSignalNoiseRatio(data_range=255.0, dim=(1, 2, 3)),
                "ssim": StructuralSimilarityIndexMeasure(data_range=255.0),
            },
            prefix="val/",
            compute_groups=False,
        )

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> made smaller and enlarged again, sides cut to multiples of the factor."""
        output: Tensor = self.network.forward(self._low(image))  # uncompiled: samples come in many sizes
        return output

    def _low(self, image: Tensor) -> Tensor:
        return degrade(self._whole(image), self.factor, sigma=self.sigma)

    def _whole(self, image: Tensor) -> Tensor:
        """Cut the sides to multiples of the factor; what is smaller than the factor is continued by its edge."""
        missing = [max(0, self.factor - side) for side in image.shape[-2:]]
        return crop_to_multiple(functional.pad(image, (0, missing[1], 0, missing[0]), mode="replicate"), self.factor)

    def shown(self, photo: Tensor, output: Tensor) -> list[Tensor]:
        """What a sheet of samples shows of one photograph, (3, H, W) each: low, bicubic, output, truth."""
        low = self._low(photo[None])
        large = functional.interpolate(low, scale_factor=self.factor, mode="nearest")
        return [large[0], upscale(low, self.factor)[0].clamp(0, 1), output, self._whole(photo[None])[0]]

    def _terms(
        self, low: Tensor, image: Tensor, network: Callable[[Tensor], Tensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        low, image = (x.contiguous(memory_format=self.memory_format) for x in (low, image))
        output = network(low)
        found: dict[str, Tensor] = self.loss(output, self.loss.targets(image))
        return found, output

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; log its terms."""
        terms, _ = self._terms(batch.low, batch.image, self.network)
        total = finite_sum(terms, step=self.global_step)
        named = {f"train/{name}": value.detach() for name, value in {**terms, "loss": total}.items()}
        self.log_dict(named, prog_bar=True, sync_dist=True)  # of all processes' photographs
        return total

    def validation_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Log the means of the terms, PSNR and SSIM of the luma as stored in eight bits, borders left out."""
        terms, output = self._terms(batch.low, batch.image, self.network.forward)
        terms["loss"] = torch.stack(list(terms.values())).sum()
        named = {f"val/{name}": value for name, value in terms.items()}
        self.log_dict(named, batch_size=len(batch.image), sync_dist=True)
        inner = (..., slice(self.factor, -self.factor), slice(self.factor, -self.factor))
        with torch.autocast(batch.image.device.type, enabled=False):  # variances of SSIM are small differences
            self.images.update(studio_luma(as_stored(output.float()))[inner], studio_luma(batch.image)[inner])
        self.log_dict(self.images, batch_size=len(batch.image))

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (one of seven shapes, says Lightning)
        """Build the optimiser over the network's parameters only."""
        return scheduled(self.build_optimizer(self.network.parameters()), self.build_scheduler)
