"""The memory of CycleGAN's discriminators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


class ImagePool:
    """Fake images of the past, so that a discriminator does not forget (Shrivastava et al. 2017).

    Args:
        size: images to keep.
        rng: chooses which to swap.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size, self._rng = size, rng
        self._kept: list[Tensor] = []

    def swap(self, images: Tensor) -> Tensor:
        """Half of the images, the others replaced by kept ones whose places they take."""
        chosen = []
        for image in images.detach():
            if len(self._kept) < self._size:
                self._kept.append(image)
            elif self._rng.random() < 0.5:
                index = int(self._rng.integers(self._size))
                image, self._kept[index] = self._kept[index], image
            chosen.append(image)
        return torch.stack(chosen)

    def state_dict(self) -> dict[str, Any]:
        """Say what a checkpoint keeps."""
        return {"kept": self._kept, "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._kept = list(state["kept"])
        self._rng.bit_generator.state = state["rng"]
