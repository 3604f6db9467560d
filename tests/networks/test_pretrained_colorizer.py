"""The colorizer on VGG-16's low-level features."""

import torch
from tiny import tiny_vgg

from impasto.networks import PretrainedColorizer, fold_batch_norm


def _started() -> PretrainedColorizer:
    torch.manual_seed(0)
    network = PretrainedColorizer(
        width=4, classes=5, channels=2, global_size=96, mean=0.5, global_features=True
    ).train()
    vgg = tiny_vgg(depth=8)
    network.start_from(dict(vgg.layers.named_buffers()), mean=vgg.mean.view(3), std=vgg.std.view(3))
    return network


def test_low_level_features_are_those_of_vgg_for_a_grey_image() -> None:
    network, lightness = _started(), torch.rand(1, 1, 96, 96)
    expected = tiny_vgg(depth=8)(lightness.expand(-1, 3, -1, -1), ["relu4_1"])["relu4_1"]
    found = network.low[:-1](lightness - network.mean)
    assert found.shape == expected.shape == (1, 512, 12, 12)
    inside = (..., slice(4, 8), slice(4, 8))  # the padding of the first layer is another grey
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-3, atol=1e-4)


def test_all_but_the_last_convolution_are_frozen() -> None:
    network = _started()
    prediction = network(torch.rand(2, 1, 96, 96))
    assert prediction.colour.shape == (2, 2, 48, 48) and prediction.logits is not None
    (prediction.colour.square().mean() + prediction.logits.square().mean()).backward()
    frozen = [name for name, value in network.named_parameters() if value.grad is None]
    assert len(frozen) == 14 and all(name.startswith("low.") for name in frozen)


def test_folding_keeps_what_it_predicts() -> None:
    network, lightness = _started().eval(), torch.rand(1, 1, 96, 104)
    torch.testing.assert_close(fold_batch_norm(network)(lightness).colour, network(lightness).colour)
