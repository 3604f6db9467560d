"""A painter that learns from a small loss network while that is trained, and so shows it what it does not see."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.losses import gram, total_variation
from impasto.networks.training import keep_channels_last
from impasto.systems.augmentation import VIEWS, jittered, turned

Activations = Callable[[Tensor], Mapping[str, Tensor]]
_CONTENT = "relu3_3"
_JITTER = 8  # as loss=pocket; what is left must be a multiple of 8
_STYLE, _TV = 0.5, 0.65  # of loss=pocket for experiment=starry_night; a start takes them times a random factor


class Adversary:
    """Trains style networks against the loss network as it is now, one after the other, each for some steps.

    A network trained with a small loss network finds pictures of which that thinks too well. Its teacher tells better,
    and the small network learns it, until nothing can be gained by such pictures any more.

    Args:
        networks: style networks, of which each start copies one, (N, 3, H, W) -> (N, 3, H, W).
        styles: paintings, (1, 3, H, W), RGB in [0, 1].
        steps: of each start.
        rate: Adam's learning rate.

    Source: Goodfellow 2014, "Generative Adversarial Nets", for two networks that learn from each other; Ross, Gordon,
    Bagnell 2011 ("DAgger"), for a teacher that is asked about what its pupil leads to.
    """

    def __init__(self, networks: Sequence[nn.Module], styles: Sequence[Tensor], *, steps: int, rate: float) -> None:
        self.states = [{name: value.clone() for name, value in n.state_dict().items()} for n in networks]
        self.network = networks[0].to(memory_format=torch.channels_last).requires_grad_()
        keep_channels_last(self.network)
        self.styles, self.steps, self.rate = list(styles), steps, rate
        self.done = 0

    def work(self, photo: Tensor, activations: Activations) -> tuple[Tensor, Tensor]:
        """Learn from one batch of photographs, (N, 3, H, W), by the small network's activations of an image.

        Returns the works as they were before, (N, 3, h, w) with sides that are less by the jitter, and the painting
        that they imitate, (1, 3, H', W'), turned as they are; RGB in [0, 1], without gradients.
        """
        if self.done % self.steps == 0:
            self._start(photo.device)
        self.done += 1
        view = int(torch.randint(VIEWS, ()))
        photo, painted = (turned(x, view) for x in jittered(photo, self.network(photo), by=_JITTER))
        with torch.no_grad():
            wanted, style = activations(photo)[_CONTENT], activations(self.paintings[view])
        found = activations(painted)
        content = functional.mse_loss(found[_CONTENT].float(), wanted.float())
        gaps = [(gram(found[layer].float()) - gram(x.float())).square().mean() for layer, x in style.items()]
        smooth = total_variation(painted).mean()
        total = content + self.weight * torch.stack(gaps).sum() + self.smooth * smooth
        parameters = list(self.network.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        works: Tensor = painted.detach().float().clamp(0, 1)
        return works, self.paintings[view]

    def _start(self, device: torch.device) -> None:
        """Take another network, another painting and other weights."""
        self.network.load_state_dict(self.states[int(torch.randint(len(self.states), ()))])
        self.network.to(device)
        style = self.styles[int(torch.randint(len(self.styles), ()))].to(device, memory_format=torch.channels_last)
        self.paintings = [turned(style, view) for view in range(VIEWS)]
        some, other = (float(x) for x in torch.rand(2))
        self.weight, self.smooth = _STYLE * 4 ** (2 * some - 1), _TV * other
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.rate)
