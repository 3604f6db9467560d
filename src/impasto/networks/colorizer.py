"""The colorization network: local and global features fused, with simultaneous classification of the scene."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional


class Prediction(NamedTuple):
    """What the network says of a grey photograph."""

    colour: Tensor  # in [0, 1], (N, channels, H / 2, W / 2)
    logits: Tensor | None  # of the classes, (N, classes); None without global features, on which they depend


class LightnessNetwork(nn.Module, ABC):
    """A network from lightness to colours at half the size: what a colorizer's training, engine and method take."""

    MULTIPLE = 8  # three convolutions of stride 2 in Iizuka 2016: heights and widths must be multiples of this
    starts_from: str | None = None  # the architecture of which `start_from` takes weights
    global_size: int | None = None  # side of the square that `predict` takes, besides; None where it takes none

    def __init__(self) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {}  # for the constructor, beside those of the configuration

    def forward(self, lightness: Tensor, global_lightness: Tensor | None = None) -> Prediction:
        """Predict colour at half the size, and the scene, from lightness in [0, 1], (N, 1, H, W), multiples of 8.

        The global features are those of `global_lightness`, (N, 1, any, any), or of the same image, which passes the
        low-level network twice where it is not of `global_size`.
        """
        self.check(lightness, global_lightness)
        if self.global_size is None:
            return self.predict(lightness, None)
        return self.predict(lightness, self.square(lightness if global_lightness is None else global_lightness))

    def check(self, lightness: Tensor, global_lightness: Tensor | None) -> None:
        """Refuse what `forward` does not take: other shapes, and sides that are no multiples of 8."""
        n, c, h, w = lightness.shape
        if c != 1 or h % self.MULTIPLE or w % self.MULTIPLE or not lightness.numel():
            raise ValueError(f"expected lightness (N, 1, H, W) with multiples of 8, got {tuple(lightness.shape)}")
        if global_lightness is not None and global_lightness.shape[:2] != (n, 1):
            raise ValueError(f"expected global lightness ({n}, 1, H, W), got {tuple(global_lightness.shape)}")

    def square(self, lightness: Tensor) -> Tensor:
        """Resize to what the global features see: (N, 1, any, any) -> (N, 1, global_size, global_size).

        It is the middle square. Departs from colorize.lua, which squeezes the whole photograph: a network that learned
        from crops then sees what it never saw, and the colours of a long photograph are further from the truth.
        """
        if self.global_size is None or lightness.shape[-2:] == (self.global_size, self.global_size):
            return lightness
        height, width = lightness.shape[-2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = lightness[..., top : top + side, left : left + side]
        size = (self.global_size, self.global_size)
        return functional.interpolate(middle, size=size, mode="bilinear", antialias=True).clamp(0, 1)

    @abstractmethod
    def predict(self, lightness: Tensor, square: Tensor | None) -> Prediction:
        """Predict from the image and its `square`, which is None where there is no `global_size`."""


class Fusion(nn.Module):
    """One vector of global features and a map of local ones become one map: a 1 x 1 convolution over both.

    The global part is the same at every position, so it is computed once an image and added.
    Source: Iizuka 2016, the fusion layer: y(u, v) = relu(b + W [y_global; y_mid(u, v)]).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, vector: Tensor, mid: Tensor) -> Tensor:
        """(N, C), (N, C, H, W) -> (N, C, H, W)."""
        c = mid.shape[1]
        once = functional.linear(vector, self.conv.weight[:, :c, 0, 0], self.conv.bias)
        x = functional.conv2d(mid, self.conv.weight[:, c:]) + once[:, :, None, None]
        result: Tensor = self.relu(self.norm(x))
        return result


class Colorizer(LightnessNetwork):
    """The network of the paper: 42,367,343 parameters at width 64 with 205 classes and 2 channels.

    Args:
        width: channels of the first layer, 64 in the paper, even; all others are multiples of it.
        classes: of scenes; 205 in the paper.
        channels: of colour: 2 for chroma, 3 for RGB.
        global_size: side in pixels of the image from which the global features come, a multiple of 32; 224 in the paper
        mean: subtracted from the lightness, so that the padding's zeros are a middle grey (officially the data's mean)
        global_features: False is the paper's baseline: neither fusion nor classes.

    Source: Iizuka, Simo-Serra, Ishikawa 2016, Table 1; batch norm everywhere but in the output layers.
    """

    def __init__(
        self, *, width: int, classes: int, channels: int, global_size: int, mean: float, global_features: bool
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"expected an even width of at least 2, got {width}")
        if classes < 1 or channels < 1:
            raise ValueError(f"expected at least one class and one channel, got {classes} and {channels}")
        if global_size < 32 or global_size % 32:
            raise ValueError(f"expected global_size to be a multiple of 32, got {global_size}")
        w = width
        self.global_size, self.mean = global_size if global_features else None, mean
        self.low = self._low_level(w)
        self.mid = nn.Sequential(_conv(8 * w, 8 * w), _conv(8 * w, 4 * w))  # (256, 28, 28)
        self.globals = _GlobalFeatures(w, global_size) if global_features else None
        self.fusion = Fusion(4 * w) if global_features else None
        self.classes = nn.Sequential(_linear(8 * w, 4 * w), nn.Linear(4 * w, classes)) if global_features else None
        self.colour = nn.Sequential(
            _conv(4 * w, 2 * w),
            nn.Upsample(scale_factor=2, mode="nearest"),  # (128, 56, 56)
            _conv(2 * w, w),
            _conv(w, w),
            nn.Upsample(scale_factor=2, mode="nearest"),  # (64, 112, 112)
            _conv(w, w // 2),
            nn.Conv2d(w // 2, channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def _low_level(self, w: int) -> nn.Sequential:
        return nn.Sequential(  # 224 px: (1, 224, 224)
            _conv(1, w, stride=2),  # (64, 112, 112) at width 64
            _conv(w, 2 * w),
            _conv(2 * w, 2 * w, stride=2),  # (128, 56, 56)
            _conv(2 * w, 4 * w),
            _conv(4 * w, 4 * w, stride=2),  # (256, 28, 28)
            _conv(4 * w, 8 * w),
        )

    def predict(self, lightness: Tensor, square: Tensor | None) -> Prediction:
        """Predict from the image and its `square`, which is None without global features.

        Where both are the same tensor, it is computed once.
        """
        low = self.low(lightness - self.mean)
        mid = self.mid(low)
        if self.globals is None or self.fusion is None or self.classes is None or square is None:
            return Prediction(self.colour(mid), None)
        before_last, vector = self.globals(low if square is lightness else self.low(square - self.mean))
        return Prediction(self.colour(self.fusion(vector, mid)), self.classes(before_last))


class PretrainedColorizer(Colorizer):
    """The same with VGG-16's convolutions up to relu4_1 in the place of the low-level features, for few photographs.

    Both have an eighth of the image's size. A 1 x 1 convolution brings VGG's 512 channels to as many as the middle
    takes. Its first layer sees the lightness as each of red, green and blue. The arguments are those of `Colorizer`.

    Source: Larsson, Maire, Shakhnarovich 2016, "Learning Representations for Automatic Colorization": from VGG-16, too.
    """

    starts_from = "vgg16"

    def _low_level(self, w: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        channels = 1
        for block, (wide, count) in enumerate(_VGG16_TO_RELU4_1):
            layers += [nn.MaxPool2d(2)] if block else []
            for _ in range(count):
                layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.ReLU()]
                channels = wide
        return nn.Sequential(*layers, _conv(channels, 8 * w, size=1))

    def start_from(self, weights: Mapping[str, Tensor], *, mean: Tensor, std: Tensor) -> None:
        """Take VGG-16's convolutions, `conv1_1.weight`, `conv1_1.bias`, ... to conv4_1; all but the last are frozen.

        They were trained with a mean and a deviation of RGB, (3,).
        """
        names = [f"conv{block}_{i + 1}" for block, (_, count) in enumerate(_VGG16_TO_RELU4_1, 1) for i in range(count)]
        convs = [layer for layer in self.low if isinstance(layer, nn.Conv2d)]
        for name, conv in zip(names, convs, strict=True):
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            if name == names[0]:  # of three equal channels, each less the mean; `forward` takes this network's mean
                each = weight / std.view(1, 3, 1, 1)
                bias = bias + (each.sum(dim=(2, 3)) * (self.mean - mean)).sum(dim=1)
                weight = each.sum(dim=1, keepdim=True)
            conv.weight.data.copy_(weight)
            conv.bias.data.copy_(bias)  # type: ignore[union-attr]
            conv.requires_grad_(name == names[-1])


_VGG16_TO_RELU4_1 = ((64, 2), (128, 2), (256, 3), (512, 1))  # channels and convolutions of each block


class _GlobalFeatures(nn.Module):
    def __init__(self, width: int, global_size: int) -> None:
        super().__init__()
        w, side = width, global_size // 32
        self.convs = nn.Sequential(
            _conv(8 * w, 8 * w, stride=2),  # (512, 14, 14)
            _conv(8 * w, 8 * w),
            _conv(8 * w, 8 * w, stride=2),  # (512, 7, 7)
            _conv(8 * w, 8 * w),
        )
        self.linears = nn.Sequential(_linear(8 * w * side * side, 16 * w), _linear(16 * w, 8 * w))
        self.last = _linear(8 * w, 4 * w)

    def forward(self, low: Tensor) -> tuple[Tensor, Tensor]:
        """Return the second-to-last features (N, 512), from which the scene is classified, and the last (N, 256)."""
        before_last: Tensor = self.linears(self.convs(low).flatten(1))
        return before_last, self.last(before_last)


def _conv(inputs: int, outputs: int, *, stride: int = 1, size: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _linear(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU())
