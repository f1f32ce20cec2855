"""Rivals that cannot share our packages: each a program in an environment of its own."""

from __future__ import annotations

from functools import partial
from typing import Literal

from imedbench.core.options import Natural, Positive, Side
from imedbench.core.programs import register_program
from imedbench.core.types import MethodInfo
from imedbench.methods.estimators import estimator_name, registration_from_matches
from imedbench.methods.licences import MAGIC_LEAP, ask_licence

_info = partial(MethodInfo, extra="an environment of its own")


@register_program(
    _info(
        name="ants-syn",
        summary="symmetric diffeomorphic registration on mutual information (ANTs)",
        family="dense",
        paper="Avants, Epstein, Grossman and Gee, Medical Image Analysis 12(1), 2008",
        code_licence="Apache-2.0",
    ),
    file="programs/ants_syn.py",
)
def ants_syn(*, transform: Literal["SyN", "Affine", "ElasticSyN", "SyNCC"] = "SyN") -> None:
    """ANTs from its own starting point, the images' centres of brightness.

    Args:
        transform: what is fitted, as ANTs names it.
    """


@register_program(
    _info(
        name="retinalysis",
        summary="SIFT on vessel-enhanced images, refined, with a quadratic fit (Erasmus MC)",
        family="quadratic",
        paper="Liefers, ARVO 2026; github.com/Eyened/retinalysis-registration",
        code_licence="AGPL-3.0-or-later",
    ),
    file="programs/retinalysis.py",
)
def retinalysis(*, quadratic: bool = True) -> None:
    """Registers as its authors' own class does, which is told which image is an OCTA scan.

    Args:
        quadratic: bend the projective answer where at least 20 matches agree.
    """


@register_program(
    _info(
        name="eyeliner",
        summary="SuperPoint and LightGlue matches, an affine map or a thin-plate spline (EyeLiner)",
        family="affine",
        paper="Veturi et al., EyeLiner, 2024; github.com/QTIM-Lab/EyeLiner",
        code_licence="MIT",
        weights_licence=f"{MAGIC_LEAP} AND Apache-2.0",
        weights="eyeliner 0.1.1",
        trained_on=("coco/train", "megadepth/train"),
        uses_cuda=True,
    ),
    file="programs/eyeliner.py",
)
def eyeliner(
    *,
    transform: Literal["affine", "tps"] = "affine",
    stiffness: float = 1.0,
    size: Side = 256,
    accept_license: bool = False,
) -> dict[str, object]:
    """EyeLiner as its package has it.

    Args:
        transform: an affine map or a thin-plate spline.
        stiffness: of the spline.
        size: px, side of the squares to which both images are resized.
        accept_license: accept the terms of SuperPoint's non-commercial weights, once and for all.
    """
    ask_licence("eyeliner", MAGIC_LEAP, accept_license)
    return {"transform": transform, "stiffness": stiffness, "size": size}


@register_program(
    _info(
        name="vismatch",
        summary="any matcher of the vismatch collection, by its name",
        family="homography",
        paper="github.com/gmberton/vismatch; each matcher has its own",
        code_licence="BSD-3-Clause",
        weights_licence="unknown",
        weights="as vismatch 1.4.0 fetches them",
        estimator=estimator_name("homography"),
        uses_cuda=True,
    ),
    file="programs/vismatch.py",
    estimate=registration_from_matches,
)
def vismatch(
    *,
    model: str = "sift-lightglue",
    keypoints: Positive = 1024,
    size: Natural = 512,
    accept_license: bool = False,
) -> dict[str, object]:
    """Matches of one model, with the robust estimator of all our matchers.

    Args:
        model: its name in vismatch.
        keypoints: at most this many an image, where the model has a choice.
        size: px; images are shown to the model with this longer side. 0 leaves them as they are.
        accept_license: accept the terms of non-commercial weights, once and for all.
    """
    if "superpoint" in model or "superglue" in model:
        ask_licence(f"vismatch:model={model}", MAGIC_LEAP, accept_license)
    return {"model": model, "keypoints": keypoints, "size": size}
