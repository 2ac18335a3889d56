"""Residual networks for small pictures: a 3×3 stem and no pooling before the residual stages.

Two families, told apart by ``depth``:

* 8, 14, 20, 32, 44, 56, 110: three stages of 16, 32, 64 channels with (depth − 2)/6 basic blocks each, and 8x4, 32x4: depth 8 and 32 with a stem of
  32 channels and stages of 64, 128, 256. Where the shape changes, the shortcut is a 1×1 convolution with batch normalisation, as in the networks
  that distillation results are reported for. Source: He et al. (2016, arXiv:1512.03385), section 4.2 (there with parameter-free shortcuts, 0.27,
  0.85 and 1.7 million parameters at 10 classes for depth 20, 56 and 110: the same to those digits); Tian, Krishnan & Isola (2020, arXiv:1910.10699)
  and their published code RepDistiller, ``models/resnet.py``.
* 18, 34, 50: the four stages of the ImageNet networks (same paper, table 1) under the small stem.

Parameters for 3 channels and 100 classes:

    ======  ==========  ======  ==========  ======  ==========
    depth   parameters  depth   parameters  depth   parameters
    ======  ==========  ======  ==========  ======  ==========
    20         278,324  110      1,736,564  18      11,220,132
    32         472,756  8x4      1,233,540  34      21,328,292
    44         667,188  32x4     7,433,860  50      23,705,252
    56         861,620
    ======  ==========  ======  ==========  ======  ==========

Modules carry the usual names (``conv1``, ``layer1.0.conv1``, ``layer2.0.downsample.0``, ``fc``), so that published weights fit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from darkknowledge.errors import UsageError, close_match
from darkknowledge.model._network import Preprocessing, Request


def build(request: Request, *, depth: int | str = "20") -> tuple[nn.Module, Preprocessing]:
    """A `cifar_resnet` for the data, which sees inputs as they come, with the data's mean and standard deviation."""
    channels = request.input_shape[0]
    return cifar_resnet(channels, request.num_classes, depth=depth), request.preprocessing(channels=channels)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(inputs, channels, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of the same or half the height and width."""
        features = torch.relu(self.bn1(self.conv1(inputs)))
        return torch.relu(self.bn2(self.conv2(features)) + self.downsample(inputs))


class Bottleneck(nn.Module):
    """A 3×3 convolution between two 1×1 ones, the second four times as wide, around a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _conv(channels, 4 * channels, 1)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = _shortcut(inputs, 4 * channels, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of the same or half the height and width."""
        features = torch.relu(self.bn1(self.conv1(inputs)))
        features = torch.relu(self.bn2(self.conv2(features)))
        return torch.relu(self.bn3(self.conv3(features)) + self.downsample(inputs))


@dataclass(frozen=True, slots=True)
class Layout:
    """The stem's channels, and for each stage its channels and its number of blocks."""

    stem: int
    channels: tuple[int, ...]
    blocks: tuple[int, ...]
    block: type[BasicBlock] | type[Bottleneck] = BasicBlock


def _thin(depth: int) -> Layout:
    return Layout(16, (16, 32, 64), ((depth - 2) // 6,) * 3)


def _wide(depth: int) -> Layout:
    return Layout(32, (64, 128, 256), ((depth - 2) // 6,) * 3)


_FOUR_STAGES = (64, 128, 256, 512)

LAYOUTS = {
    **{str(depth): _thin(depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"{depth}x4": _wide(depth) for depth in (8, 32)},
    "18": Layout(64, _FOUR_STAGES, (2, 2, 2, 2)),
    "34": Layout(64, _FOUR_STAGES, (3, 4, 6, 3)),
    "50": Layout(64, _FOUR_STAGES, (3, 4, 6, 3), Bottleneck),
}


def cifar_resnet(channels: int, num_classes: int, *, depth: int | str = "20") -> nn.Sequential:
    r"""A residual network of the given ``depth`` (a key of `LAYOUTS`, as number or text) for pictures of ``channels`` channels and any size from 8×8.

    Convolutions start as :math:`N(0, 2/\text{fan out})` (He et al., 2015, arXiv:1502.01852, equation 14), batch normalisation as the identity.

    Raises:
        UsageError: an unknown depth.
    """
    if str(depth) not in LAYOUTS:
        raise UsageError(f"no residual network of depth {depth!r}", where="cifar_resnet", fix=close_match(str(depth), LAYOUTS))
    layout = LAYOUTS[str(depth)]
    layers = {"conv1": _conv(channels, layout.stem, 3), "bn1": nn.BatchNorm2d(layout.stem), "relu": nn.ReLU()}
    width = layout.stem
    for stage, (units, blocks) in enumerate(zip(layout.channels, layout.blocks, strict=True), start=1):
        layers[f"layer{stage}"] = _stage(layout.block, width, units, blocks, stride=1 if stage == 1 else 2)
        width = units * layout.block.expansion
    layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(width, num_classes)}
    network = nn.Sequential(OrderedDict(layers))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def _stage(block: type[BasicBlock] | type[Bottleneck], inputs: int, channels: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = block(inputs, channels, stride)
    return nn.Sequential(first, *(block(channels * block.expansion, channels, 1) for _ in range(blocks - 1)))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity, which has no parameters, or a 1×1 convolution where channels or size change."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
