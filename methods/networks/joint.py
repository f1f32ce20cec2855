"""The joint network of the report (Fig. 13, 14): one encoder segments and registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from imedbench.methods.networks.arbicon import Readout, RegistrationHead, Warp
from imedbench.methods.networks.cyclegan import Generator
from imedbench.methods.networks.unet import UNet, channels_last


@dataclass(frozen=True, eq=False)
class JointOutput:
    """What the joint network makes of a batch of pairs.

    Args:
        source_logits: of the source's vessels, B×1×H×W.
        target_logits: of the target's vessels, B×1×H×W.
        warp: sends target points to the source.
    """

    source_logits: Tensor
    target_logits: Tensor
    warp: Warp


class JointNetwork(nn.Module):
    """Frozen modality transformer → shared encoder → segmentation and registration heads.

    The transformer works at a resolution of its own, before the images are shrunk to the network's
    size (`methods.transfer.fake_octa`). It never trains, so that a training may transfer every
    image once beforehand.

    Args:
        widths: channels of the shared U-Net, finest first.
        grid: cells a side of its last level.
        descriptor: size of the transformation descriptor.
        consensus: channels of the 4-D convolutions.
        readout: see `RegistrationHead`.
        generator_width: of the modality transformer; 0 for none, when both images are of one
            modality already.
        generator_blocks: of the modality transformer.
    """

    def __init__(
        self,
        widths: Sequence[int] = (8, 16, 32, 64, 128),
        grid: int = 15,
        descriptor: int = 256,
        consensus: Sequence[int] = (10, 10),
        readout: Readout = "flat",
        generator_width: int = 16,
        generator_blocks: int = 4,
    ) -> None:
        super().__init__()
        self.size = grid * 2 ** (len(widths) - 1)
        self.transformer = Generator(generator_width, generator_blocks) if generator_width else None
        self.unet = channels_last(UNet(widths))
        self.head = RegistrationHead(grid, descriptor, consensus, readout)
        if self.transformer is not None:
            self.transformer.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> JointNetwork:
        """Switch to training; the modality transformer stays as it is."""
        super().train(mode)
        if self.transformer is not None:
            self.transformer.eval()
        return self

    def forward(self, source: Tensor, target: Tensor) -> JointOutput:
        """Segment and register two batches of images of one look.

        Args:
            source: bright vessels on an even ground, B×1×size×size in [0, 1].
            target: likewise.

        Returns:
            Vessels of both and the warp between them.
        """
        there, here = self.unet.encode(source), self.unet.encode(target)
        warp: Warp = self.head(self.features, source, there[-1], here[-1])
        return JointOutput(self.unet.decode(there), self.unet.decode(here), warp)

    def features(self, image: Tensor) -> Tensor:
        """Say what is compared, B×1×size×size → B×widths[-1]×grid×grid."""
        return self.unet.encode(image)[-1]

    def register(self, source: Tensor, target: Tensor) -> Warp:
        """Return the warp alone, without the vessels."""
        features = self.features(source), self.features(target)
        warp: Warp = self.head(self.features, source, *features)
        return warp
