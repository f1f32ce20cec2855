"""A program's answer to one pair, checked and put into our own types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.core.diagnostics import are_point_rows
from imedbench.core.errors import ContractError, ProgramFault
from imedbench.core.stages import add_stage, stage
from imedbench.core.transforms import Affine, DenseField, Homography, Transform
from imedbench.core.types import Diagnostics, Image, Matches, Registration

FORWARD, BACKWARD, REFUSAL = "fixed_from_moving", "moving_from_fixed", "refusal"
_FIELDS = {"type", "number", "arrays", FORWARD, BACKWARD, REFUSAL}
_FIELDS |= {"confidence", "stages", "values"}
_MATCHES = ("matches_moving", "matches_fixed", "matches_inliers")
_PICTURE = "picture_"

Arrays = Mapping[str, NDArray[Any]]
Estimate = Callable[[Points, Points], Registration]


def read_answer(
    reply: Mapping[str, Any],
    arrays: Arrays,
    fixed: Image,
    moving: Image,
    estimate: Estimate | None = None,
) -> Registration:
    """Read what a program found; its stages are told to whoever collects them.

    Args:
        reply: header of the answer.
        arrays: that came with it.
        fixed: the image whose frame is kept.
        moving: the image that was aligned to it.
        estimate: fits a transform to moving and fixed points, where a program leaves that to us.

    Raises:
        ProgramFault: for anything that the protocol does not allow, with what it should be.
    """
    try:
        found = _check_names(reply, arrays)
        for name, milliseconds in dict(reply.get("stages", {})).items():
            add_stage(str(name), float(milliseconds))
        if not found and estimate is not None:
            return _estimated(reply, arrays, estimate)
        if len(found) != 1:
            wanted = f"exactly one of {FORWARD}, {BACKWARD} and {REFUSAL}"
            raise ValueError(f"it must hold {wanted}, it holds {' and '.join(found) or 'none'}")
        diagnostics = _diagnostics(reply, arrays)
        if REFUSAL in reply:
            return Registration(None, str(reply[REFUSAL]), _confidence(reply), diagnostics)
        transform = _transform({**reply, **arrays}, fixed, moving)
        return Registration(transform, "", _confidence(reply), diagnostics)
    except (TypeError, ValueError, ContractError) as error:
        raise ProgramFault(f"the program's answer cannot be used: {error}") from error


def _check_names(reply: Mapping[str, Any], arrays: Arrays) -> list[str]:
    """Which of the answers proper it holds; anything unheard of is a mistake."""
    if reply["type"] != "answer":
        raise ValueError(f"it is of the type {reply['type']!r}, not 'answer'")
    known = {FORWARD, BACKWARD, *_MATCHES}
    strange = [name for name in reply if name not in _FIELDS]
    strange += [n for n in arrays if n not in known and not n.startswith(_PICTURE)]
    if strange:
        raise ValueError(f"the protocol has no {', '.join(map(repr, strange))}")
    return [name for name in (FORWARD, BACKWARD, REFUSAL) if name in reply or name in arrays]


def _transform(found: Mapping[str, Any], fixed: Image, moving: Image) -> Transform:
    """The map to fixed px, of either kind and given in either direction."""
    name, frame, grid = (
        (FORWARD, "moving", moving) if FORWARD in found else (BACKWARD, "fixed", fixed)
    )
    given = np.asarray(found[name], np.float64)
    if given.shape == (3, 3):
        affine = np.array_equal(given[2], [0, 0, 1])
        matrix = Affine(given) if affine else Homography(given)
        return matrix if name == FORWARD else matrix.inverse()
    if given.shape == (*grid.shape, 2):
        field = DenseField(given)
        return field if name == FORWARD else field.inverse()
    raise ValueError(
        f"{name} must be 3×3, or H×W×2 with the size of the {frame} image,"
        f" {grid.shape[0]}×{grid.shape[1]}×2; it is {'×'.join(map(str, given.shape)) or 'a number'}"
    )


def _estimated(reply: Mapping[str, Any], arrays: Arrays, estimate: Estimate) -> Registration:
    """What our own robust estimate makes of a program's matches."""
    try:
        points = [np.asarray(arrays[name], np.float64) for name in _MATCHES[:2]]
    except KeyError as missing:
        raise ValueError(f"it holds neither an answer nor {missing}") from None
    if not are_point_rows(*points):
        raise ValueError("matches must be two N×2 arrays of equal length")
    with stage("estimate"):
        found = estimate(*points)
    values = {**found.diagnostics.values, **dict(reply.get("values", {}))}
    return replace(found, diagnostics=replace(found.diagnostics, values=values))


def _confidence(reply: Mapping[str, Any]) -> float | None:
    value = reply.get("confidence")
    return None if value is None else float(value)


def _diagnostics(reply: Mapping[str, Any], arrays: Arrays) -> Diagnostics:
    pictures = {n.removeprefix(_PICTURE): a for n, a in arrays.items() if n.startswith(_PICTURE)}
    matches = None
    if given := [arrays[name] for name in _MATCHES if name in arrays]:
        if len(given) < len(_MATCHES):
            raise ValueError(f"matches are three arrays: {', '.join(_MATCHES)}")
        first, second, inliers = given
        matches = Matches(first.astype(np.float64), second.astype(np.float64), inliers.astype(bool))
    return Diagnostics(matches, pictures, dict(reply.get("values", {})))
