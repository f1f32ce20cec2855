"""What goes into a method and what comes out.

Coordinates everywhere: pixel centres at integers, 0-based, x right, y down, points as rows (x, y).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from imedbench.core.arrays import Mask, Pixels, Points
from imedbench.core.diagnostics import Diagnostics as Diagnostics
from imedbench.core.diagnostics import Matches as Matches
from imedbench.core.diagnostics import are_point_rows
from imedbench.core.errors import ContractError
from imedbench.core.outcomes import Outcome as Outcome
from imedbench.core.transforms import Transform

Split = Literal["multi-modal", "single-modal"]
SPLITS: tuple[Split, ...] = ("multi-modal", "single-modal")


@dataclass(frozen=True, eq=False)
class Image:
    """One retinal image, as a method sees it.

    Args:
        pixels: uint8, H×W grey or H×W×3 RGB.
        modality: lower-case name such as ``cf``, ``octa``, ``fa``, ``ir`` or ``unknown``.
        note: what reading its file took for granted, for who checks the data.
        spacing_um: size of a pixel in µm, where its file says so.

    Raises:
        ContractError: when the array is of another type or shape.

    Example:
        >>> Image(np.zeros((4, 6, 3), np.uint8), "cf").size
        (6, 4)
    """

    pixels: Pixels
    modality: str = "unknown"
    note: str = ""
    spacing_um: float | None = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8:
            raise ContractError(f"an image must be uint8, this one is {self.pixels.dtype}")
        if not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or 0 in shape:
            raise ContractError(f"an image must be H×W or H×W×3, this one is {shape}")

    def __repr__(self) -> str:
        kind = "colour" if self.pixels.ndim == 3 else "grey"
        return f"<Image {self.size[0]}×{self.size[1]} px, {kind}, {self.modality}>"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def grey(self) -> Pixels:
        """Grey levels, uint8 H×W.

        Colour images give their green channel: haemoglobin absorbs there, so vessels have the
        most contrast.
        """
        return self.pixels if self.pixels.ndim == 2 else np.ascontiguousarray(self.pixels[..., 1])


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What is known of a pair and never shown to a method.

    Args:
        moving_points: landmarks in the moving image, N×2 px, row by row the same anatomical point
            as ``fixed_points``.
        fixed_points: landmarks in the fixed image, N×2 px.
        fixed_vessels: reference vessel mask of the fixed image, bool H×W.
        moving_vessels: reference vessel mask of the moving image, bool H×W.
        fixed_from_moving: the exact transform, where the pair was made by one.
        spacing_um: size of a fixed-image pixel in µm.

    Raises:
        ContractError: when the landmark arrays do not match or are not finite.
    """

    moving_points: Points | None = None
    fixed_points: Points | None = None
    fixed_vessels: Mask | None = None
    moving_vessels: Mask | None = None
    fixed_from_moving: Transform | None = None
    spacing_um: float | None = None

    def __post_init__(self) -> None:
        if (self.moving_points is None) != (self.fixed_points is None):
            raise ContractError("landmarks need both their moving and their fixed points")
        if self.moving_points is None or self.fixed_points is None:
            return
        if not are_point_rows(self.moving_points, self.fixed_points):
            raise ContractError("landmarks must be two N×2 arrays of equal length")
        if not (np.isfinite(self.moving_points).all() and np.isfinite(self.fixed_points).all()):
            raise ContractError("landmarks must be finite numbers")


@dataclass(frozen=True, eq=False)
class ImagePair:
    """A fixed and a moving image of one retina.

    Args:
        pair_id: unique within its data set and split.
        fixed: the image whose frame is kept.
        moving: the image to be brought into that frame.
        truth: what is known of the pair; never handed to a method.
        group: eye or patient; statistics resample by it and leak checks compare it.
        subset: ``train`` or ``test``.
        note: a remark for reports.
    """

    pair_id: str
    fixed: Image
    moving: Image
    truth: GroundTruth = field(default_factory=GroundTruth)
    group: str = ""
    subset: str = "test"
    note: str = ""


@dataclass(frozen=True, eq=False)
class Registration:
    """A method's answer: a transform, or the reason why there is none.

    Args:
        fixed_from_moving: maps moving-image points to the fixed image; None for none found.
        reason: why there is none; empty when there is one.
        confidence: the method's own estimate in [0, 1] that the transform is right, if it has one.
        diagnostics: what reports may draw.

    Raises:
        ContractError: when there is neither a transform nor a reason, or both, or when a part is
            not what it should be.

    Example:
        >>> Registration.failed("3 matches, 4 are needed").reason
        '3 matches, 4 are needed'
    """

    fixed_from_moving: Transform | None
    reason: str = ""
    confidence: float | None = None
    diagnostics: Diagnostics = field(default_factory=Diagnostics)

    def __post_init__(self) -> None:
        if (self.fixed_from_moving is None) == (self.reason == ""):
            raise ContractError(
                "a Registration holds a transform or the reason for none, not both or neither"
            )
        if not isinstance(self.fixed_from_moving, Transform | None):
            kind = type(self.fixed_from_moving).__name__
            raise ContractError(f"fixed_from_moving must be a Transform, this one is a {kind}")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ContractError(f"confidence must be in [0, 1], this one is {self.confidence}")

    @classmethod
    def failed(cls, reason: str, diagnostics: Diagnostics | None = None) -> Registration:
        """Return a registration that found nothing, and why."""
        return cls(None, reason, diagnostics=diagnostics or Diagnostics())


@dataclass(frozen=True)
class MethodInfo:
    """What a method is, beside how to run it.

    Args:
        name: as typed on the command line.
        summary: one line.
        family: kind of transform it returns (``homography``, ``similarity``, ``dense`` …;
            ``identity`` for a baseline that does not look at the images).
        paper: citation or URL of what it implements.
        code_licence: SPDX name; left out, that of the package the method comes in.
        weights_licence: SPDX name, ``none`` where there are no weights.
        trained_on: names of data sets (``octa500/train`` …) its weights have seen.
        training_images: perceptual hashes of the images its weights have seen.
        estimator: the robust estimator of a matching method, empty otherwise.
        weights: hash or revision of the weights, empty where there are none.
        uses_cuda: whether ``prepare("cuda")`` makes a difference.
        version: raise it when results change for a reason the code does not show.
        batch_size: by device, how many pairs its ``register_batch`` takes at once where it gains.
        package: name and version of the package the method comes in; found out if left out.
        environment: what the method runs in, where that is a program or a Python of its own.
        extra: what brings it where the base install does not: an extra, a package of weights.
    """

    name: str
    summary: str
    family: str
    paper: str = ""
    code_licence: str = "unknown"
    weights_licence: str = "none"
    trained_on: tuple[str, ...] = ()
    training_images: tuple[str, ...] = ()
    estimator: str = ""
    weights: str = ""
    uses_cuda: bool = False
    version: str = "1"
    package: str = ""
    environment: str = ""
    batch_size: Mapping[str, int] = field(default_factory=dict)
    extra: str = ""


@runtime_checkable
class Method(Protocol):
    """A registration method."""

    @property
    def info(self) -> MethodInfo:
        """What the method is, with its options applied."""

    def prepare(self, device: str) -> None:
        """Load weights and move to ``cpu`` or ``cuda``; called once, never timed."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find the transform that brings ``moving`` onto ``fixed``."""
