"""The vessel networks mostly in 8 bits, run by OpenVINO: what the extra ``fast`` brings.

The model files are made by `methods.quantise_vessels` from the weights that ship.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from imedbench.core.arrays import Plane
from imedbench.core.errors import BadInput, Declined
from imedbench.methods import weights

SOURCE = "imedbench_source"  # entry of the file: SHA-256 of the weights it was made from
STEP = 16  # px, of which the sides of the network's input must be multiples


def require_openvino() -> None:
    """Check that the package is there.

    Raises:
        Declined: when it is not.
    """
    if find_spec("openvino") is None:
        raise Declined("runtime=openvino needs one more package: pip install 'imedbench[fast]'")


def model_file(network: str) -> Path:
    """Where the model made from shipped weights lies, an .xml with its .bin beside it."""
    return weights.FOLDER / f"{network}-int8.xml"


class OpenVinoNetwork:
    """A shipped network, on one thread of the processor.

    Args:
        network: name of the weights it was made from.

    Raises:
        Declined: without the package.
        BadInput: when the file was made from other weights than those that ship.
    """

    def __init__(self, network: str) -> None:
        require_openvino()
        import openvino

        path = model_file(network)
        core = openvino.Core()
        model = core.read_model(path)
        made_from = model.get_rt_info(SOURCE).astype(str) if model.has_rt_info(SOURCE) else ""
        if made_from != weights.read_card(network).sha256:
            raise BadInput(
                f"{path}: made from other weights than {network};"
                " make it again: python -m imedbench.methods.quantise_vessels"
            )
        settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()

    def __call__(self, bright: Plane) -> Plane:
        """Return what the network finds, float32 H×W in [0, 1] to C×H×W."""
        height, width = bright.shape
        padded = np.pad(bright, ((0, -height % STEP), (0, -width % STEP)), "edge")
        found = next(iter(self._request.infer({0: padded[None, None]}).values()))
        return np.array(found[0, :, :height, :width], np.float32)
