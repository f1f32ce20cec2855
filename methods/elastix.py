"""Elastix: stochastic gradient descent on mutual information, affine and then a B-spline."""

from __future__ import annotations

from importlib import import_module, metadata
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imedbench.core.errors import Declined
from imedbench.core.field_of_view import field_of_view
from imedbench.core.options import Natural, Positive
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.transforms import DenseField
from imedbench.core.types import Image, MethodInfo, Registration

_LEVELS = 4
_MIN_SIDE = 32  # px; the coarsest of four levels has an eighth of it


@METHODS.register("elastix")
class Elastix:
    """Elastix with its own default settings, from the images' middles.

    Args:
        spacing: px between the nodes of the B-spline; 0 leaves it out.
        steps: on each of four levels.
        samples: pixels that are compared in a step.
    """

    declared = MethodInfo(
        name="elastix",
        summary="affine and B-spline on mutual information by stochastic descent (ITKElastix)",
        family="dense",
        paper="Klein, Staring, Murphy, Viergever and Pluim, TMI 29(1), 2010",
        extra="imedbench[elastix]",
    )

    def __init__(
        self, *, spacing: Natural = 64, steps: Positive = 256, samples: Positive = 2048
    ) -> None:
        self.spacing, self.steps, self.samples = spacing, steps, samples
        if not _is_installed("itk-elastix"):
            raise Declined("elastix needs one more package: pip install 'imedbench[elastix]'")
        self.info = self.declared

    def prepare(self, device: str) -> None:
        """Load the toolkit, which takes a second."""
        self._maps()

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Follow the mutual information uphill, from coarse to fine."""
        if min(*fixed.size, *moving.size) < _MIN_SIDE:
            return Registration.failed(f"an image has a side of less than {_MIN_SIDE} px")
        itk = _toolkit()
        still, moved = (
            itk.image_view_from_array(image.grey().astype(np.float32)) for image in (fixed, moving)
        )
        mask = itk.image_view_from_array(field_of_view(fixed.pixels).astype(np.uint8))
        try:
            with stage("descent"):
                _, found = itk.elastix_registration_method(
                    still,
                    moved,
                    fixed_mask=mask,
                    parameter_object=self._maps(),
                    log_to_console=False,
                    number_of_threads=1,  # sums come in another order on several
                )
            with stage("field"), TemporaryDirectory() as folder:  # where it leaves a copy
                field = itk.transformix_deformation_field(moved, found, output_directory=folder)
        except RuntimeError as error:  # how the toolkit says that too few samples overlap
            return Registration.failed(f"elastix gives up: {_last_line(error)}")
        return Registration(DenseField(np.asarray(field)).inverse())

    def _maps(self) -> Any:
        """Elastix's default parameters of each stage, with ours in their place."""
        parameters = _toolkit().ParameterObject.New()
        ours = {
            "AutomaticTransformInitialization": "true",
            "AutomaticTransformInitializationMethod": "GeometricalCenter",
            "MaximumNumberOfIterations": str(self.steps),
            "NumberOfSpatialSamples": str(self.samples),
            "WriteResultImage": "false",
        }
        for kind in ("affine", "bspline")[: 1 + bool(self.spacing)]:
            values = parameters.GetDefaultParameterMap(kind, _LEVELS, float(self.spacing or 1))
            for name, value in ours.items():
                values[name] = [value]
            parameters.AddParameterMap(values)
        return parameters


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _toolkit() -> Any:
    return import_module("itk")


def _last_line(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"
