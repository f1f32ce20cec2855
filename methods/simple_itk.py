"""Mutual information by SimpleITK: what most of medical imaging would reach for."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from imedbench.core.errors import Declined
from imedbench.core.field_of_view import field_of_view
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.transforms import Affine, DenseField
from imedbench.core.types import Image, MethodInfo, Registration

_BINS = 50  # of the histograms, as in SimpleITK's own examples
_SEED = 1  # of the sampled pixels; left out, it is the clock and no answer comes twice
_LEVELS = (8, 4, 2, 1)
_MESH = (4, 4)  # cells of the B-spline


@METHODS.register("mutual-information")
class MutualInformation:
    """Mattes mutual information on a pyramid, from the images' middles.

    Args:
        bspline: bend the affine answer by a B-spline at the end.
        sampled: share of the pixels that are compared.
        steps: of the gradient descent on each of four levels, at most.
    """

    declared = MethodInfo(
        name="mutual-information",
        summary="Mattes mutual information maximised from the middle (SimpleITK)",
        family="affine",
        paper="Mattes, Haynor, Vesselle, Lewellen and Eubank, TMI 22(1), 2003",
        extra="imedbench[itk]",
    )

    def __init__(self, *, bspline: bool = False, sampled: float = 0.25, steps: int = 200) -> None:
        self.bspline, self.sampled, self.steps = bspline, sampled, steps
        if not 0 < sampled <= 1:
            raise ValueError("sampled must be in (0, 1]")
        if find_spec("SimpleITK") is None:
            raise Declined(
                "mutual information needs one more package: pip install 'imedbench[itk]'"
            )
        self.info = replace(self.declared, family="dense" if bspline else "affine")

    def prepare(self, device: str) -> None:
        """Load the toolkit; one thread, as it adds up in another order on several."""
        _toolkit().ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Follow the mutual information uphill, from coarse to fine."""
        sitk = _toolkit()
        still, moved = (
            sitk.GetImageFromArray(i.grey().astype(np.float32)) for i in (fixed, moving)
        )
        mask = sitk.GetImageFromArray(field_of_view(fixed.pixels).astype(np.uint8))
        start = sitk.CenteredTransformInitializer(
            still, moved, sitk.AffineTransform(2), sitk.CenteredTransformInitializerFilter.GEOMETRY
        )
        try:
            with stage("affine"):
                affine = self._ascend(still, moved, mask, start, _LEVELS)
            if not self.bspline:
                return Registration(_as_affine(affine).inverse())
            with stage("bspline"):
                mesh = sitk.BSplineTransformInitializer(still, _MESH)
                bend = self._ascend(still, moved, mask, mesh, _LEVELS[-2:], affine)
                bent = sitk.CompositeTransform([affine, bend])  # the last one is applied first
        except RuntimeError as error:  # how the toolkit says that the images no longer overlap
            return Registration.failed(f"the ascent fails: {str(error).strip().splitlines()[-1]}")
        field = sitk.TransformToDisplacementField(
            bent, sitk.sitkVectorFloat64, still.GetSize(), (0.0, 0.0), (1.0, 1.0)
        )
        return Registration(DenseField(sitk.GetArrayFromImage(field)).inverse())

    def _ascend(
        self,
        fixed: Any,
        moving: Any,
        mask: Any,
        start: Any,
        levels: tuple[int, ...],
        after: Any = None,
    ) -> Any:
        """Where the mutual information peaks: a map of fixed px, ``after`` which comes another."""
        sitk = _toolkit()
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(_BINS)
        method.SetMetricFixedMask(mask)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(self.sampled, _SEED)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, self.steps)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel(levels)
        method.SetSmoothingSigmasPerLevel([level / 2 for level in levels])
        method.SetInitialTransform(start, inPlace=False)
        if after is not None:
            method.SetMovingInitialTransform(after)
        return method.Execute(fixed, moving)


def _toolkit() -> Any:
    # By name, since its stubs are of one half typed and of the other wrong.
    return import_module("SimpleITK")


def _as_affine(transform: Any) -> Affine:
    """Read a toolkit's affine map off three points."""
    corner, right, below = (
        np.array(transform.TransformPoint(point)) for point in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    return Affine(np.column_stack([right - corner, below - corner, corner]))
