"""Any method on colour fundus turned into fake OCTA: ``transfer+sift``, ``transfer+NAME``.

With SuperPoint and SuperGlue inside, this is the report's CycleGAN + SuperPoint + SuperGlue. The
same network makes the single-modal split of data sets that bring none.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Pixels
from imedbench.core.errors import BadInput
from imedbench.core.options import Side
from imedbench.core.registry import TRANSLATORS, WRAPPERS
from imedbench.core.stages import stage
from imedbench.core.translation import CYCLEGAN, TranslatorInfo
from imedbench.core.types import Image, Method, Registration
from imedbench.methods import weights
from imedbench.methods.method_info import wrapper_info

if TYPE_CHECKING:
    from torch import nn

FUNDUS_REACH = 0.125  # of `flatten`: what the transfer is trained with, so the fovea stays dark
TRANSFER_WEIGHTS = "cf_to_octa"
TRANSFER_SIZE = 512  # px, longer side of the images at the transfer
_STRIDE = 4  # px; sides the network can halve twice


@WRAPPERS.register("transfer")
class ModalityTransfer:
    """Turns images with dark vessels into fake OCTA, then runs another method.

    Args:
        method: what registers the images.
        transfer_weights: name of a shipped generator, or the path of a file.
        transfer_size: px; longer side of the images at the transfer.
    """

    def __init__(
        self,
        method: Method,
        *,
        transfer_weights: str = TRANSFER_WEIGHTS,
        transfer_size: Side = TRANSFER_SIZE,
    ) -> None:
        self.method, self.transfer_weights, self.size = method, transfer_weights, transfer_size
        self.info = wrapper_info(
            "transfer",
            method.info,
            generator_card(transfer_weights),
            paper="Zhu et al., ICCV 2017",
            addition="after CycleGAN turned colour fundus into OCTA",
        )

    def prepare(self, device: str) -> None:
        """Load the generator and prepare the inner method."""
        self._look = OctaLook(load_generator(self.transfer_weights).to(device), device, self.size)
        self.method.prepare(device)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Transfer what is not OCTA yet, then let the inner method register."""
        with stage("transfer"):
            shown = {"fixed": self._look(fixed), "moving": self._look(moving)}
        found = self.method.register(shown["fixed"], shown["moving"])
        fakes = {
            f"fake_octa_{side}": shown[side].pixels
            for side, image in (("fixed", fixed), ("moving", moving))
            if shown[side] is not image
        }
        diagnostics = replace(found.diagnostics, images={**found.diagnostics.images, **fakes})
        return replace(found, diagnostics=diagnostics)


@TRANSLATORS.register(CYCLEGAN)
class CycleGanTranslator:
    """Shows colour fundus as OCTA.

    Args:
        weights: file of the generator; the shipped one by default.

    Raises:
        BadInput: when there is no such file or card, or it is of another network.
    """

    def __init__(self, *, weights: Path | None = None) -> None:
        self._weights = str(weights or TRANSFER_WEIGHTS)
        card = generator_card(self._weights)
        self.info = TranslatorInfo(
            self._weights, card.sha256[:16], card.trained_on, card.training_images
        )

    @cached_property
    def _generator(self) -> nn.Module:
        return load_generator(self._weights)

    def translate(self, image: Image) -> Image:
        """Show a colour fundus as OCTA, in its size."""
        import torch

        from imedbench.core.field_of_view import field_of_view

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums in another order end in other grey levels
        try:
            grey, fov = image.grey(), field_of_view(image.pixels)
            return Image(fake_octa(self._generator, grey, fov, TRANSFER_SIZE, "cpu"), "octa")
        finally:
            torch.set_num_threads(threads)


def generator_card(name: str) -> weights.Card:
    """Read the card of a generator's weights.

    Args:
        name: of shipped weights, or the path of a file with its card beside it.

    Raises:
        BadInput: when there are none, or they are of another network.
    """
    card = weights.read_card(*weights.find(name))
    if card.architecture != "cyclegan:Generator":
        raise BadInput(f"{name}: weights of {card.architecture}; a CycleGAN generator is needed")
    return card


def load_generator(name: str) -> nn.Module:
    """Load a generator by the name of shipped weights or the path of a file."""
    generator_card(name)
    return weights.load(*weights.find(name))


class OctaLook:
    """Gives images with dark vessels the look of OCTA.

    Args:
        generator: B×1×H×W in [-1, 1] to the same.
        device: where the generator is.
        size: longer side at which the generator works, px.
    """

    def __init__(self, generator: nn.Module, device: str, size: int = TRANSFER_SIZE) -> None:
        self._generator, self._device, self._size = generator, device, size

    def __call__(self, image: Image) -> Image:
        """Fake OCTA of an image with dark vessels, of its size; the very image otherwise."""
        from imedbench.core.field_of_view import field_of_view
        from imedbench.core.polarity import has_dark_vessels

        grey, fov = image.grey(), field_of_view(image.pixels)
        if not has_dark_vessels(grey, fov):
            return image
        return Image(fake_octa(self._generator, grey, fov, self._size, self._device), "octa")


def fake_octa(
    generator: nn.Module, grey: Pixels, fov: NDArray[np.bool_], size: int, device: str
) -> Pixels:
    """One image in the look of OCTA.

    Args:
        generator: B×1×H×W in [-1, 1] to the same.
        grey: uint8 H×W, dark vessels.
        fov: bool H×W.
        size: longer side at which the generator works, px.
        device: where the generator is.

    Returns:
        uint8 H×W, black outside the field of view.
    """
    import cv2
    import torch

    from imedbench.core.polarity import flatten
    from imedbench.core.resize import fitted_size, resize

    height, width = grey.shape
    plane = resize(flatten(grey, fov, reach=FUNDUS_REACH), fitted_size((width, height), size))
    rows, columns = plane.shape
    below, right = -rows % _STRIDE, -columns % _STRIDE
    padded = cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_REFLECT_101)
    with torch.inference_mode():
        shown = torch.from_numpy(padded)[None, None].to(device) * 2 - 1
        fake = generator(shown)[0, 0, :rows, :columns].float().cpu().numpy()
    native = cv2.resize((fake + 1) * 127.5, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(fov, np.clip(np.rint(native), 0, 255), 0).astype(np.uint8)
