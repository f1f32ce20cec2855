"""Show a colour fundus image as OCTA, through a trained generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imedbench.core.polarity import flatten

if TYPE_CHECKING:
    from torch import nn

Plane = NDArray[np.float32]

_REACH = 0.125  # wide enough for the fovea to stay dark
_STEP = 4  # px; a generator halves the resolution twice


def fundus_plane(grey: NDArray[np.uint8], fov: NDArray[np.bool_]) -> Plane:
    """A colour fundus image as the generator reads it: even light, vessels left dark.

    Args:
        grey: uint8 H×W.
        fov: bool H×W.

    Returns:
        float32 H×W in [0, 1].
    """
    return flatten(grey, fov, reach=_REACH)


def fake_octa(generator: nn.Module, grey: NDArray[np.uint8], fov: NDArray[np.bool_]) -> Plane:
    """What an OCTA device might show of the same retina.

    Args:
        generator: from colour fundus to OCTA, such as the weights ``cf_to_octa``.
        grey: uint8 H×W with dark vessels.
        fov: bool H×W.

    Returns:
        float32 H×W in [0, 1], bright vessels; 0 outside the field of view.
    """
    import torch
    from torch.nn import functional as F

    plane = torch.from_numpy(fundus_plane(grey, fov))[None, None]
    height, width = grey.shape
    padded = F.pad(plane, (0, -width % _STEP, 0, -height % _STEP), mode="replicate")
    device = next(generator.parameters()).device
    with torch.inference_mode():
        fake = generator(padded.to(device) * 2 - 1)[0, 0, :height, :width]
    return np.asarray((fake.cpu().numpy() + 1) / 2 * fov, np.float32)
