"""Training a small loss network to see what VGG sees."""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur

from impasto.data import Batch
from impasto.features import LossNetwork
from impasto.losses import gram
from impasto.networks import LAYERS, Pocket
from impasto.systems.adversary import Adversary
from impasto.systems.augmentation import VIEWS, turned
from impasto.systems.system import System, Training

_RIDGE = 1e-4  # of the inputs' mean square, added to each
_NEAR = 0.01  # of a painting's squared Gram matrix: differences from it that are as good as none


class DistillationSystem(System):
    """One small loss network, one teacher.

    What a loss needs is right in three respects: activations, their Gram matrices, and how activations change when the
    image does, which is what gradients are made of. So each photograph comes with a changed one (noise, blur, another
    contrast, a painter's work), and the error counts of both, and of their difference. In three of four batches the
    adversary paints both; of them, the difference between their Gram matrices and the painting's counts, too. All
    errors are relative: squared norms over those of the teacher, those of activations about their mean.

    Args:
        network: to be trained.
        teacher: VGG, frozen.
        photographs: (N, 3, H, W), RGB in [0, 1], over which the teacher's leading directions are found.
        painters: networks whose works the small network shall know, (N, 3, H, W) -> (N, 3, H, W).
        adversary: a painter that learns from the small network meanwhile; or None.
        pruned: whether the network begins as the teacher, pruned (`fit_to_teacher`); else it goes on as it is.
        weights: of the four errors, "features", "gram", "difference" and "style".

    Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network"; of activations, as Romero 2015
    ("FitNets"); of differences, in place of the Jacobian of Czarnecki 2017 ("Sobolev Training").
    """

    def __init__(
        self,
        network: Pocket,
        teacher: LossNetwork,
        photographs: Tensor,
        painters: Sequence[nn.Module],
        adversary: Adversary | None,
        *,
        pruned: bool,
        weights: dict[str, float],
        **training: Unpack[Training],
    ) -> None:
        super().__init__(network, **training)
        self.teacher = teacher.to(memory_format=self.memory_format)
        self.painters = [painter.requires_grad_(False).eval() for painter in painters]  # in no state dict
        self.adversary = adversary
        self.weights = dict(weights)
        for number, (layer, (basis, scale)) in enumerate(_directions(network, teacher, photographs).items(), start=1):
            self.register_buffer(f"basis_{layer}", basis)
            if pruned:
                network.get_buffer(f"scale{number}").copy_(scale)
        if pruned:
            fit_to_teacher(network, teacher, [self.targets(photo[None]) for photo in photographs], photographs)

    @torch.no_grad()
    def targets(self, image: Tensor) -> dict[str, Tensor]:
        """Project the teacher's activations: (N, K, h, w) by layer, at the scale of the network's."""
        return {
            layer: functional.conv2d(activation, self.get_buffer(f"basis_{layer}").to(activation.dtype))
            for layer, activation in self.teacher(image, LAYERS).items()
        }

    def errors(
        self, image: Tensor, changed: Tensor, network: Callable[[Tensor], Any], *, painting: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Relative errors, each a mean over layers: "features", "gram", "difference" and, with a painting, "style"."""
        both = torch.cat([image, changed]).contiguous(memory_format=self.memory_format)
        found, wanted = network(both), self.targets(both)
        styles = None if painting is None else (network(painting), self.targets(painting))
        errors: dict[str, list[Tensor]] = {"features": [], "gram": [], "difference": []}
        for layer, theirs in wanted.items():
            ours, theirs = found[layer].float(), theirs.float()
            errors["features"].append(_relative(ours, theirs, about=theirs.mean(dim=(0, 2, 3), keepdim=True)))
            errors["gram"].append(_relative(gram(ours), gram(theirs)))
            a, b = ours.chunk(2)
            c, d = theirs.chunk(2)
            errors["difference"].append(_relative(a - b, c - d))
            if styles is not None:
                mine, its = (gram(x[layer].float()) for x in styles)
                left = gram(theirs) - its
                gap, size = ((x.flatten(1).square().sum(dim=1)) for x in (gram(ours) - mine - left, left))
                errors.setdefault("style", []).append((gap / (size + _NEAR * its.square().sum())).mean())
        return {name: torch.stack(values).mean() for name, values in errors.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted error of one batch; log its parts."""
        image = turned(batch.image.contiguous(memory_format=self.memory_format), int(torch.randint(VIEWS, ())))
        if self.adversary is None or self.global_step % 4 == 0:
            errors = self.errors(image, self._changed(image), self.network)
        else:
            works, painting = self.adversary.work(image, self.network)
            errors = self.errors(works[::2], works[1::2], self.network, painting=painting)
        return self.log_training(errors, weights=self.weights)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the errors of held-out photographs, the changed ones of a fixed noise."""
        generator = torch.Generator(batch.image.device).manual_seed(batch_idx)
        noise = torch.randn(batch.image.shape, generator=generator, device=batch.image.device)
        changed = (batch.image + 0.05 * noise).clamp(0, 1)
        errors = self.errors(batch.image, changed, self.trained.forward)
        self.log_validation(errors, count=len(batch.image), weights=self.weights)

    @torch.no_grad()
    def _changed(self, image: Tensor) -> Tensor:
        kind, amount = (float(x) for x in torch.rand(2))
        if kind < 0.2:
            return (image + 0.2 * amount * torch.randn_like(image)).clamp(0, 1)
        if kind < 0.35:
            blurred: Tensor = gaussian_blur(image, [9, 9], [0.5 + 2.5 * amount] * 2)
            return blurred
        if kind < 0.5:  # another contrast and another colour, as of the first steps of a training
            return image.lerp(torch.rand(len(image), 3, 1, 1, device=image.device), amount)
        if not self.painters or kind < 0.6:
            return image.lerp(image.roll(1, dims=0), amount)
        painter = self.painters[int(torch.randint(len(self.painters), ()))].to(image.device)
        work: Tensor = painter(image)
        return image.lerp(work.to(image.dtype).clamp(0, 1), 0.3 + 0.7 * amount)


def _relative(ours: Tensor, theirs: Tensor, *, about: Tensor | float = 0.0) -> Tensor:
    """Squared norm of the difference over that of the teacher's, taken about a mean; a mean over the batch."""
    gap, size = ((x.flatten(1).square().sum(dim=1)) for x in (ours - theirs, theirs - about))
    return (gap / (size + 1e-6 * size.mean() + 1e-12)).mean()


@torch.no_grad()
def _directions(network: Pocket, teacher: LossNetwork, photographs: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Find the leading eigenvectors of the uncentred second moments of the teacher's activations, by layer.

    As the weight of a convolution, (K, C, 1, 1), times sqrt(K / C), with the coefficients' root mean squares, (K,).
    """
    moments: dict[str, Tensor] = {}
    for photo in photographs:
        for layer, activation in teacher(photo[None], LAYERS).items():
            flat = activation[0].flatten(1).double()
            moments[layer] = moments.get(layer, 0) + flat @ flat.T / (flat.shape[1] * len(photographs))
    found = {}
    for layer, moment in moments.items():
        count, channels = network.coefficients[layer], len(moment)
        values, vectors = torch.linalg.eigh(moment)  # ascending
        factor = (count / channels) ** 0.5
        basis = factor * vectors[:, -count:].flip(1).T
        scale = factor * values[-count:].flip(0).clamp(min=1e-12).sqrt()
        found[layer] = (basis.float()[..., None, None], scale.float())
    return found


@torch.no_grad()
def fit_to_teacher(network: Pocket, teacher: LossNetwork, targets: Sequence[dict[str, Tensor]], photos: Tensor) -> None:
    """Set the weights of a small loss network, convolution by convolution, so that it predicts what its teacher does.

    Each convolution learns, from what the network has computed so far, those of the teacher's channels at the same
    place that vary most (one more than the teacher has, those of its last); the heads learn the coefficients, the
    targets (1, K, h, w) of each photograph by layer. What ReLU leaves has a mean square of one. Photographs are RGB in
    [0, 1], (N, 3, H, W), whose sides are multiples of 8.

    Source: He, Zhang, Sun 2017, "Channel Pruning for Accelerating Very Deep Neural Networks".
    """
    xs = [photo[None] for photo in photos]
    for number, (layer, block, head) in enumerate(zip(LAYERS, network.blocks, network.heads, strict=True), start=1):
        convolutions = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
        for index, conv in enumerate(convolutions, start=1):
            name = f"conv{number}_{min(index, int(layer[-1]))}"
            wanted = _most_varying(teacher, name, photos, conv.out_channels)
            _fit(conv, xs, wanted)
            xs = [functional.relu(conv(x)) for x in xs]
        scale = network.get_buffer(f"scale{number}").view(1, -1, 1, 1)
        assert isinstance(head, nn.Conv2d)
        _fit(head, xs, [target[layer] / scale for target in targets])
        if number == 1:
            xs = [functional.leaky_relu(head(x), 0.2) for x in xs]


def _most_varying(teacher: LossNetwork, name: str, photos: Tensor, count: int) -> list[Tensor]:
    """The channels of a convolution that vary most behind their ReLU, in units of their root mean square there."""
    found = [teacher(photo[None], [name])[name] for photo in photos]
    seen = torch.cat([x.relu().flatten(2)[0] for x in found], dim=1)
    chosen = seen.var(dim=1).topk(count).indices
    size = seen[chosen].square().mean(dim=1).sqrt().clamp(min=1e-6).view(1, -1, 1, 1)
    return [x[:, chosen] / size for x in found]


def _fit(conv: nn.Conv2d, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Solve for the weights and the bias of a convolution."""
    side = conv.kernel_size[0]
    count = conv.in_channels * side * side + 1
    left, right = torch.zeros(count, count, dtype=torch.float64), torch.zeros(count, conv.out_channels).double()
    for x, y in zip(inputs, outputs, strict=True):
        seen = functional.unfold(x, side, padding=side // 2, stride=conv.stride)[0]
        seen = torch.cat([seen, seen.new_ones(1, seen.shape[1])])
        left += (seen @ seen.T).double()
        right += (seen @ y[0].flatten(1).T).double()
    left += _RIDGE * left.diagonal().mean() * torch.eye(count, dtype=torch.float64)
    weights = torch.linalg.solve(left, right).T.float()
    assert conv.bias is not None
    conv.weight.copy_(weights[:, :-1].view_as(conv.weight))
    conv.bias.copy_(weights[:, -1])
