"""Detector and descriptor networks apart, as kornia has them: DeDoDe, Key.Net with HardNet."""

# No `from __future__ import annotations`: the options are inherited.

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imedbench.core.registry import METHODS
from imedbench.methods import weight_files
from imedbench.methods.kornia_pipeline import SparseMatcher

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register("dedode")
@dataclass(kw_only=True, eq=False)
class DeDoDe(SparseMatcher):
    """DeDoDe's detector L and descriptor B, matched by mutual nearest neighbours.

    ``matcher_weights`` are those of the descriptor.
    """

    name = "dedode"
    summary = "DeDoDe keypoints matched by mutual nearest neighbours"
    paper = "Edstedt, Bökman, Wadenbäck and Felsberg, 3DV 2024"
    files = (weight_files.DEDODE_DETECTOR, weight_files.DEDODE_DESCRIPTOR)

    def _network(self, states: "list[dict[str, Any]]") -> Any:
        import torch
        from kornia.feature import DeDoDe as Network

        net = Network("L", "B", torch.float32)
        for part, state in zip((net.detector, net.descriptor), states, strict=True):
            weight_files.fill(part, state)
        return net.eval().to(self._device)

    def _detect(self, plane: "Tensor") -> "tuple[Tensor, Tensor]":
        from torch.nn import functional as F

        points, _, descriptors = self._net(plane.expand(-1, 3, -1, -1), n=self.keypoints)
        # It counts from the corner of a pixel, we from its centre.
        return points[0] - 0.5, F.normalize(descriptors[0], dim=1)


@METHODS.register("keynet-hardnet")
@dataclass(kw_only=True, eq=False)
class KeyNetHardNet(SparseMatcher):
    """Key.Net keypoints, turned by OriNet, HardNet descriptors and mutual nearest neighbours.

    ``matcher_weights`` are HardNet's; OriNet's must lie in torch's cache.
    """

    name = "keynet-hardnet"
    summary = "Key.Net keypoints with HardNet descriptors, mutual nearest neighbours"
    paper = "Barroso-Laguna et al., ICCV 2019; Mishchuk et al., NeurIPS 2017"
    files = (weight_files.KEYNET, weight_files.HARDNET, weight_files.ORINET)

    def _network(self, states: "list[dict[str, Any]]") -> Any:
        from kornia.feature import (
            HardNet,
            KeyNetDetector,
            LAFDescriptor,
            LAFOrienter,
            OriNet,
        )

        orientation, patches = OriNet(False), HardNet(False)
        detector = KeyNetDetector(
            False, num_features=self.keypoints, ori_module=LAFOrienter(angle_detector=orientation)
        )
        nets: tuple[Any, ...] = (detector.model, patches, orientation)
        for net, state in zip(nets, states, strict=True):
            weight_files.fill(net, state.get("state_dict", state))
        descriptor = LAFDescriptor(patches, patch_size=32, grayscale_descriptor=True)
        return tuple(part.eval().to(self._device) for part in (detector, descriptor))

    def _detect(self, plane: "Tensor") -> "tuple[Tensor, Tensor]":
        from kornia.feature import get_laf_center

        detector, descriptor = self._net
        frames, _ = detector(plane)[:2]
        return get_laf_center(frames)[0], descriptor(plane, frames)[0]
