# /// script
# requires-python = ">=3.10,<3.14"
# dependencies = ["vismatch==1.4.0", "setuptools>=83"]
# ///
"""The matchers that vismatch collects, as a program with its own packages."""

from __future__ import annotations

import numpy as np
import torch
import vismatch


def prepare(device, model, keypoints, size):
    """Load the model; its weights are fetched by vismatch, which keeps them."""
    global matcher
    if model not in vismatch.available_models:
        return "vismatch has no model %r; it has %s" % (model, ", ".join(vismatch.available_models))
    matcher = vismatch.get_matcher(model, device=device, max_num_keypoints=keypoints)
    return None


def register(fixed, moving, model, keypoints, size):
    """Return the matches; the estimate is imedbench's own, as for every other matcher."""
    pictures = [_tensor(picture, size) for picture in (moving, fixed)]
    found = matcher(*(tensor for tensor, _ in pictures))
    points = [
        (np.asarray(found["matched_kpts%d" % i], float).reshape(-1, 2) + 0.5) * pictures[i][1] - 0.5
        for i in (0, 1)
    ]
    return {"matches_moving": points[0], "matches_fixed": points[1]}


def _tensor(picture, size):
    """Bring the longer side to a size: 1 colour in three channels, and px of the picture a px."""
    colour = picture if picture.ndim == 3 else np.dstack([picture] * 3)
    plane = torch.from_numpy(np.ascontiguousarray(colour)).permute(2, 0, 1)[None].float().div(255)
    height, width = picture.shape[:2]
    scale = size / max(height, width) if size else 1.0
    wanted = [max(1, round(side * scale)) for side in (height, width)]
    small = torch.nn.functional.interpolate(plane, wanted, mode="bilinear", antialias=True)
    return small[0], np.array([width / wanted[1], height / wanted[0]])
