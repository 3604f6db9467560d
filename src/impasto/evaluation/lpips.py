"""LPIPS: how far apart two pictures are to the eye, learned from people's judgements."""

import logging
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BeforeValidator
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import alexnet

log = logging.getLogger(__name__)

_MEAN, _SPREAD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of RGB in [-1, 1]
_TAPS = (1, 4, 7, 9, 11)  # the ReLUs of AlexNet
_LEAST = 31  # pixels a side, of which AlexNet's last layers have one


def find_lpips(file: str | None) -> "LPIPS | None":
    """Load LPIPS from its file; without one, comparisons leave its column out."""
    if file is None:
        return None
    if not (path := Path(file).expanduser()).is_file():
        log.warning("no weights of LPIPS at %s: its column is left out", path)
        return None
    return LPIPS(path)


class LPIPS(nn.Module):
    """Learned perceptual image patch similarity, version 0.1, with AlexNet: 0 for the same picture.

    Its weights are a safetensors file with torchvision's keys of AlexNet's convolutions (`features.N`) and the linear
    heads `lin0.weight` to `lin4.weight`; others are a ValueError.

    Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric".
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        tensors = {name: value.float() for name, value in load_file(weights).items()}
        self.features = alexnet(weights=None).features
        try:
            self.heads = [tensors.pop(f"lin{number}.weight") for number in range(len(_TAPS))]
            self.features.load_state_dict({name.removeprefix("features."): v for name, v in tensors.items()})
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"{weights} holds no weights of LPIPS: {' '.join(str(error).split())}") from error
        self.requires_grad_(False).eval()

    @torch.inference_mode()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Compare pictures of at least 31 px a side: RGB in [0, 1], (N, 3, H, W) both -> (N,)."""
        if min(a.shape[-2:]) < _LEAST:
            raise ValueError(f"LPIPS needs {_LEAST} px a side, got {a.shape[-1]} x {a.shape[-2]}")
        distances = torch.zeros(len(a))
        for ours, theirs, head in zip(self._activations(a), self._activations(b), self.heads, strict=True):
            distances += ((ours - theirs).square() * head).sum(dim=1).mean(dim=(1, 2))
        return distances

    def _activations(self, image: Tensor) -> list[Tensor]:
        """At each tap, (N, C, H, W) of length one at each place."""
        mean, spread = (image.new_tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _SPREAD))
        x, found = (2 * image - 1 - mean) / spread, []
        for number, layer in enumerate(self.features[: _TAPS[-1] + 1]):
            x = layer(x)
            if number in _TAPS:
                found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found


FoundLPIPS = Annotated[LPIPS | None, BeforeValidator(find_lpips)]  # a key of comparisons: the file
