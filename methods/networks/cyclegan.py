"""Generators and discriminators of CycleGAN (Zhu, Park, Isola and Efros, ICCV 2017)."""

from __future__ import annotations

from torch import Tensor, nn


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A reflection-padded convolution, instance normalisation and ReLU."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect"),
        nn.InstanceNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions that are added to their input.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, channels, 3),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W → B×C×H×W."""
        y: Tensor = x + self.body(x)
        return y


class Generator(nn.Module):
    """ResNet generator: images of one modality become images of another.

    Up-sampling is by nearest neighbour and a convolution, not by a transposed convolution, whose
    checkerboard would pass for capillaries.

    Args:
        width: channels at full resolution; four times as many in the residual blocks.
        blocks: residual blocks; the paper has 9 for 256 px, 6 for 128 px.
        in_channels: of the input image.
        out_channels: of the output image.

    Example:
        >>> import torch
        >>> Generator(width=4, blocks=1)(torch.zeros(1, 1, 32, 48)).shape
        torch.Size([1, 1, 32, 48])
    """

    def __init__(
        self, width: int = 64, blocks: int = 9, in_channels: int = 1, out_channels: int = 1
    ) -> None:
        super().__init__()
        deep = 4 * width
        self.body = nn.Sequential(
            *_convolution(in_channels, width, 7),
            *_convolution(width, 2 * width, 3, stride=2),
            *_convolution(2 * width, deep, 3, stride=2),
            *(ResidualBlock(deep) for _ in range(blocks)),
            nn.Upsample(scale_factor=2),
            *_convolution(deep, 2 * width, 3),
            nn.Upsample(scale_factor=2),
            *_convolution(2 * width, width, 3),
            nn.Conv2d(width, out_channels, 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image in the other modality.

        Args:
            image: B×in×H×W in [-1, 1], sides divisible by 4.

        Returns:
            B×out×H×W in [-1, 1].
        """
        output: Tensor = self.body(image)
        return output


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches of 70×70 px, not the whole image (PatchGAN).

    Args:
        width: channels of the first layer.
        in_channels: of the image.
    """

    def __init__(self, width: int = 64, in_channels: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [
                nn.Conv2d(inputs, 2 * inputs, 4, stride, 1),
                nn.InstanceNorm2d(2 * inputs),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(8 * width, 1, 4, 1, 1))
        self.body = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Return a verdict a patch: near 1 for real, near 0 for fake.

        Args:
            image: B×in×H×W in [-1, 1].

        Returns:
            B×1×(H/8 - 2)×(W/8 - 2).
        """
        verdict: Tensor = self.body(image)
        return verdict


def _initialise(module: nn.Module) -> None:
    """Gaussian weights of deviation 0.02, as in the paper."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
