"""The training of a style network as usual implementations write it, for comparison with ours."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from impasto.losses import PerceptualLoss, total_variation


class UsualLoss(nn.Module):
    """The same loss as `PerceptualLoss`, term by term, in plain PyTorch and float32.

    As in pytorch/examples' neural_style.py and its many descendants: output and photograph both go through the loss
    network as far as its deepest layer, Gram matrices are batched products of transposed activations.

    Args:
        loss: whose layers, weights, distances and style targets are taken.
    """

    def __init__(self, loss: PerceptualLoss) -> None:
        super().__init__()
        self.loss = loss
        self.layers = [*dict.fromkeys([*loss.content_layers, *loss.style_layers])]

    def targets(self, photo: Tensor) -> Mapping[str, Tensor]:
        """Return the photograph's activations at all layers."""
        found: dict[str, Tensor] = self.loss.features(photo, self.layers)
        return found

    def forward(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of the weighted terms, a mean over the batch."""
        loss, total = self.loss, output.new_zeros(())
        found = loss.features(output, self.layers)
        for layer, weight in loss.content_layers.items():
            distance = loss.content_distance(found[layer], targets[layer]).mean()
            total = total + loss.weights["content"] * weight * distance
        for layer, weight in loss.style_layers.items():
            n, c, h, w = found[layer].shape
            flat = found[layer].view(n, c, h * w)
            gram = torch.bmm(flat, flat.transpose(1, 2)) / (c * h * w)
            distance = loss.style_distance(gram, loss.get_buffer(f"gram_{layer}")[:1]).mean()
            total = total + loss.weights["style"] * weight * distance
        return total + loss.weights["tv"] * total_variation(output).mean()
