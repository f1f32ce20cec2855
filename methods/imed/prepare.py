"""From an image to all that the pipeline asks of it: its vessels, as maps, lines and tables."""

from __future__ import annotations

from dataclasses import dataclass

from imedbench.core.stages import stage
from imedbench.core.types import Image
from imedbench.methods.imed.frame import View, working_view
from imedbench.methods.imed.lines import centre_lines
from imedbench.methods.imed.maps import VesselMap
from imedbench.methods.imed.search import Field
from imedbench.methods.imed.segmenter import Segmenter
from imedbench.methods.imed.targets import Targets, build_targets

_MOST_POINTS = 4500


@dataclass(frozen=True, eq=False)
class Prepared:
    """One image, ready to be registered.

    Args:
        view: the image in its working frame.
        vessels: how vessel-like each pixel is.
        field: what the search works on.
        targets: what the refinement asks.
    """

    view: View
    vessels: VesselMap
    field: Field
    targets: Targets


def prepare(image: Image, scale: float, segment: Segmenter) -> Prepared:
    """Find the vessels of an image.

    Args:
        image: any modality.
        scale: of the working frame to the image.
        segment: finds vessels.
    """
    with stage("normalise"):
        view = working_view(image, scale)
    with stage("maps"):
        vessels = segment(view)
    with stage("lines"):
        lines = centre_lines(vessels, _MOST_POINTS)
        return Prepared(view, vessels, Field(lines, view.fov), build_targets(lines, view.fov))
