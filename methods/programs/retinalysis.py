# /// script
# requires-python = ">=3.9,<3.14"
# dependencies = ["retinalysis-registration==1.0.0", "numpy<2"]
# ///
"""The registration of Erasmus MC's retinalysis tools, as a program with its own packages."""

from __future__ import annotations

import numpy as np
from rtnls_registration import Registration


def register(fixed, moving, quadratic, facts):
    """Return where each moving pixel lies in the fixed image, as a displacement."""
    method = Registration(quadratic=quadratic)
    try:
        method.set_reference(_colour(moving), image_type=_kind(facts["moving"]))
        method.set_target(_colour(fixed), image_type=_kind(facts["fixed"]))
        transform = method.run()
    except Exception as error:  # images without an edge, or without a keypoint, in many ways
        return "it gives up: %s: %s" % (type(error).__name__, " ".join(str(error).split()))
    if not hasattr(method, "final_matches"):  # it returns the identity then
        return "no transform agrees with enough of the matches"
    y, x = np.indices(moving.shape[:2], float)
    places = np.column_stack([x.ravel(), y.ravel()])
    field = (transform.apply(places) - places).reshape(*x.shape, 2)
    values = {"n_matches": len(method.all_matches), "n_inliers": int(np.sum(method.inliers))}
    return {"fixed_from_moving": field.astype(np.float32), "values": values}


def _colour(pixels):
    return pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)


def _kind(image):
    return "OCTA" if image["modality"] == "octa" else None
