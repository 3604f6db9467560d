"""A small loss network begins as its teacher with most channels left out, refitted by least squares."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.features import LossNetwork
from impasto.networks import LAYERS, Pocket

_RIDGE = 1e-4  # of the inputs' mean square, added to each


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
