# /// script
# requires-python = ">=3.10,<3.14"
# dependencies = [
#     "kornia>=0.7.2,<0.8",
#     "matplotlib>=3.8.4,<4",
#     "numpy>=1.26.4,<2",
#     "opencv-python-headless>=4.9,<5",
#     "pillow",
#     "scipy>=1.13,<2",
#     "torch>=2.2.2,<3",
#     "torchvision>=0.17.2",
# ]
#
# [tool.imedbench]
# # It asks for jupyter, monai and albumentations as well, none of which it imports.
# without-dependencies = ["eyeliner==0.1.1"]
# ///
"""EyeLiner (Veturi et al.), as a program with its own packages."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import torch

MIN_MATCHES = 4  # of which a homography can be made, for its outlier test


def prepare(device, transform, stiffness, size):
    """Build its networks from the weights that its package brings, in place of downloads."""
    global eyeliner, place
    place = device
    import importlib.util

    folder = Path(importlib.util.find_spec("eyeliner").submodule_search_locations[0]) / "weights"
    files = {"superpoint_v1.pth": folder / "superpoint_v1.pth"}
    files["superpoint_lightglue"] = folder / "superpoint_lightglue.pth"

    def load(url, file_name="", **_):
        name = url.rsplit("/", 1)[-1]
        for start, file in files.items():
            if name.startswith(start):
                return torch.load(file, map_location="cpu", weights_only=True)
        return {}  # of networks that it builds and does not use here

    torch.hub.load_state_dict_from_url = load
    import eyeliner as package

    eyeliner = package.EyeLinerP(
        reg=transform, lambda_tps=stiffness, image_size=(3, size, size), device=device
    )


def register(fixed, moving, transform, stiffness, size):
    """Return the affine matrix, or where each fixed pixel is sampled in the moving image."""
    start = time.perf_counter()
    with torch.inference_mode():
        inputs = [_tensor(picture, size) for picture in (fixed, moving)]
        points = eyeliner.get_corr_keypoints(*inputs)
        matched = time.perf_counter()
        if points[0].shape[1] < MIN_MATCHES:
            return "%d matches, %d are needed" % (points[0].shape[1], MIN_MATCHES)
        kept = eyeliner.KPRefiner(*points)
        if kept[0].shape[1] < MIN_MATCHES:
            return "%d of %d matches agree" % (kept[0].shape[1], points[0].shape[1])
        theta = eyeliner.get_registration(*kept)
    square = (size, size)
    answer = {
        "values": {"n_matches": int(points[0].shape[1]), "n_inliers": int(kept[0].shape[1])},
        "stages": {
            "matching": 1e3 * (matched - start),
            "estimate": 1e3 * (time.perf_counter() - matched),
        },
    }
    to_square, from_square = _resizing(moving, square), np.linalg.inv(_resizing(fixed, square))
    if transform == "affine":
        answer["fixed_from_moving"] = from_square @ theta[0].double().numpy() @ to_square
    else:
        answer["moving_from_fixed"] = _displacement(theta[1].numpy(), fixed, moving, size)
    return answer


def _tensor(picture, size):
    colour = picture if picture.ndim == 3 else np.dstack([picture] * 3)
    square = cv2.resize(colour, (size, size), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(square).permute(2, 0, 1)[None].float().div(255).to(place)


def _resizing(picture, square):
    """From pixels of the picture to those of the square, both counted from pixel centres."""
    height, width = picture.shape[:2]
    x, y = square[0] / width, square[1] / height
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _displacement(grid, fixed, moving, size):
    """From a sampling grid over the square, edges of the outer pixels at ±1, to px."""
    (height, width), (rows, columns) = fixed.shape[:2], moving.shape[:2]
    grid = cv2.resize(grid.reshape(size, size, 2), (width, height), interpolation=cv2.INTER_LINEAR)
    x = (grid[..., 0] + 1) * columns / 2 - 0.5
    y = (grid[..., 1] + 1) * rows / 2 - 0.5
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    return np.dstack([x - across, y - down]).astype(np.float32)
