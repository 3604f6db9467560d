"""Training a colorizer: colour and scene at once (Iizuka 2016)."""

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from impasto.colorization import colorize
from impasto.data import Batch
from impasto.losses import UNKNOWN, ColorizationLoss
from impasto.systems.system import System, Training, image_metrics


class ColorizerSystem(System):
    """One colorizer, one loss.

    Args:
        network: from lightness to a prediction (`networks.Colorizer`).
        loss: holds the colour code.
        classes: names of the scenes.
        size: shorter side in pixels at which samples and validation are coloured: that of the training.
        tones: how far gamma and contrast of what the network sees are varied, as a part; 0 for not at all.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: ColorizationLoss,
        *,
        classes: Sequence[str],
        size: int,
        tones: float = 0.0,
        **training: Unpack[Training],
    ) -> None:
        super().__init__(network, **training)
        self.loss = loss.to(memory_format=self.memory_format)
        self.classes = list(classes)
        self.size, self.tones = size, tones
        self.accuracies, self.confusion = _scene_metrics(len(self.classes))
        self.images = image_metrics(1.0)

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> its lightness with the colours that the network gives it."""
        return colorize(self.trained.forward, image, code=self.loss.code, size=self.size).image

    def shown(self, photo: Tensor, output: Tensor) -> list[Tensor]:
        """What a sheet of samples shows of one photograph, (3, H, W) each: grey, output, truth."""
        grey = torch.full((1, self.loss.code.channels, 1, 1), 0.5).expand(-1, -1, *photo.shape[-2:])
        return [self.loss.code.decode(photo[None], grey)[0], output, photo]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; log its terms."""
        seen = self._varied(self.loss.code.lightness(batch.image)).contiguous(memory_format=self.memory_format)
        terms = self.loss(self.network(seen), batch.image, batch.label)
        return self.log_training(terms)

    def _varied(self, lightness: Tensor) -> Tensor:
        """Vary gamma and contrast of each image: a photograph's colours don't depend on how it was printed."""
        if not self.tones:
            return lightness
        gamma, contrast = 1 + self.tones * (2 * torch.rand(2, len(lightness), 1, 1, 1, device=lightness.device) - 1)
        mean = lightness.mean(dim=(2, 3), keepdim=True)
        varied: Tensor = mean + contrast * (lightness.clamp(min=1e-6) ** gamma - mean)
        return varied.clamp(0, 1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the means of the terms, accuracy of the scenes, PSNR and SSIM of the coloured photographs (RGB)."""
        found = colorize(self.trained.forward, batch.image, code=self.loss.code, size=self.size)
        terms = self.loss(found.prediction, batch.image, batch.label)
        count = len(batch.image)
        self.log_validation(terms, count=count)
        if found.prediction.logits is not None and self.accuracies is not None and self.confusion is not None:
            logits = found.prediction.logits.float()
            self.accuracies.update(logits, batch.label)
            self.confusion.update(logits, batch.label)
            self.log_dict(self.accuracies, batch_size=count)
        with torch.autocast(batch.image.device.type, enabled=False):  # variances of SSIM are small differences
            self.images.update(found.image, batch.image)
        self.log_dict(self.images, batch_size=count)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember which scenes the labels are, and what the colours mean."""
        checkpoint["classes"], checkpoint["color_space"] = self.classes, self.loss.color_space

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with other scenes or another colour space, whose numbers would mean something else."""
        space = checkpoint.get("color_space", self.loss.color_space)
        if space != self.loss.color_space:
            raise ValueError(f"the run was begun with loss.color_space={space}; got {self.loss.color_space}")
        before = list(checkpoint.get("classes", self.classes))
        if before != self.classes:
            odd = ", ".join(sorted(set(before) ^ set(self.classes))[:3]) or "their order"
            raise ValueError(f"begun with {len(before)} scenes, the data has {len(self.classes)}; what differs: {odd}")


def _scene_metrics(classes: int) -> tuple[MetricCollection | None, MulticlassConfusionMatrix | None]:
    """Accuracies and the confusion matrix; of one class there is nothing to tell."""
    if classes < 2:
        return None, None
    accuracies = MetricCollection(
        {
            f"top{k}": MulticlassAccuracy(classes, top_k=k, average="micro", ignore_index=UNKNOWN)
            for k in (1, 5)
            if k <= classes
        },
        prefix="val/",
        compute_groups=False,
    )
    return accuracies, MulticlassConfusionMatrix(classes, ignore_index=UNKNOWN)
