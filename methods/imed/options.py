"""Words of options and names of weights; apart, so that listing methods loads no network."""

from __future__ import annotations

from typing import Literal

Segmentation = Literal["unet", "oriented", "ridge"]
Hypotheses = Literal["search", "network", "both"]
Refinement = Literal["homography", "affine", "similarity", "off"]
Rotation = Literal["auto", "narrow", "all"]

VESSEL_WEIGHTS = "vessels"
NETWORK_WEIGHTS = "arbicon"
