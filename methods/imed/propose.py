"""Where candidate poses come from: the exhaustive search, the correlation network, or both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imedbench.core.stages import stage
from imedbench.methods import weights
from imedbench.methods.dense_registration import fit_square, register_squares
from imedbench.methods.imed.options import NETWORK_WEIGHTS, Hypotheses
from imedbench.methods.imed.prepare import Prepared
from imedbench.methods.imed.search import SearchRange, search
from imedbench.methods.networks.arbicon import ArbiconNet

Matrices = NDArray[np.float64]

_PASSES = 1
_SIDE = 9  # points a side at which a dense warp is asked


@dataclass(frozen=True, eq=False)
class Proposer:
    """Proposes poses of a pair.

    Args:
        span: which poses the search tries.
        candidates: how many clearly different ones of the search go on.
        kind: who proposes.
        network: the correlation network, where it does.
        device: where the network is.
    """

    span: SearchRange
    candidates: int
    kind: Hypotheses
    network: ArbiconNet | None
    device: str

    def __call__(self, fixed: Prepared, moving: Prepared) -> Matrices:
        """Candidate similarities, K×3×3 fixed_from_moving, the network's first."""
        found = []
        if self.network is not None:
            with stage("network"):
                found.append(network_pose(self.network, fixed, moving, self.device)[None])
        if self.kind != "network":
            with stage("search"):
                found.append(search(fixed.field, moving.field, self.span, self.candidates).matrices)
        return np.concatenate(found)


def load_network(kind: Hypotheses, device: str) -> ArbiconNet | None:
    """The correlation network, if it is asked for."""
    if kind == "search":
        return None
    net = weights.load(NETWORK_WEIGHTS)
    assert isinstance(net, ArbiconNet)
    return net.to(device)


def network_pose(net: ArbiconNet, fixed: Prepared, moving: Prepared, device: str) -> Matrices:
    """The similarity closest to the network's dense warp, 3×3 fixed_from_moving."""
    source, target = (
        fit_square(np.minimum(side.vessels.strength, 1), net.size, 0.0) for side in (moving, fixed)
    )
    moving_from_fixed = register_squares(net, source, target, _PASSES, device).source_from_target
    height, width = fixed.vessels.strength.shape
    side = (np.arange(_SIDE) + 0.5) / _SIDE
    there = np.stack(np.meshgrid(side * width, side * height), axis=-1).reshape(-1, 2)
    return fit_similarity(moving_from_fixed.apply(there), there)


def fit_similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> Matrices:
    """The similarity that takes N ≥ 2 points nearest to others, 3×3 (least squares)."""
    z, w = source @ [1, 1j], target @ [1, 1j]
    (turn, shift), *_ = np.linalg.lstsq(np.column_stack([z, np.ones_like(z)]), w, rcond=None)
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0, 0, 1]]
    )
