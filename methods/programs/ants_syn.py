# /// script
# requires-python = ">=3.9,<3.15"
# dependencies = ["antspyx==0.6.3", "numpy<2"]
# ///
"""ANTs' affine and symmetric diffeomorphic registration, as a program with its own packages."""

from __future__ import annotations

import os
import time

# One thread, for the sums of several come in another order; read when the toolkit is imported.
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"

import ants
import ants.config
import numpy as np
import pandas as pd

MIN_SIDE = 32  # px; smaller images have nothing left on the coarsest level


def register(fixed, moving, transform, facts):
    """Return where each fixed pixel lies in the moving image, as a displacement."""
    if min(fixed.shape[:2] + moving.shape[:2]) < MIN_SIDE:
        return "an image has a side of less than %d px" % MIN_SIDE
    if min(np.ptp(fixed), np.ptp(moving)) == 0:
        return "an image is blank"
    ants.config._random_seed = facts["seed"] % 10**6 + 1  # of the samples; 0 would be the clock
    times = [time.perf_counter()]
    found = ants.registration(_image(fixed), _image(moving), type_of_transform=transform)
    times.append(time.perf_counter())
    try:
        field = _displacement(fixed.shape[:2], found["fwdtransforms"])
    finally:
        for path in {*found["fwdtransforms"], *found["invtransforms"]}:
            if os.path.exists(path):
                os.remove(path)
    times.append(time.perf_counter())
    stages = {n: 1e3 * (b - a) for n, a, b in zip(("ascent", "field"), times, times[1:])}
    return {"moving_from_fixed": field, "stages": stages}


def _image(pixels):
    """Grey levels (green, of a colour image) with the first index along x, as ANTs has it."""
    grey = pixels if pixels.ndim == 2 else pixels[..., 1]
    return ants.from_numpy(np.ascontiguousarray(grey.T).astype(np.float32))


def _displacement(shape, transforms):
    y, x = np.indices(shape, float)
    places = pd.DataFrame({"x": x.ravel(), "y": y.ravel()})
    moved = ants.apply_transforms_to_points(2, places, transforms)[["x", "y"]].to_numpy()
    return (moved - places.to_numpy()).reshape(*shape, 2).astype(np.float32)
