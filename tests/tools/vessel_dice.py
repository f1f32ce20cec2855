"""How well the vessels of fake OCTA lie on those of the real OCTA of the same eye.

Run as a script; nothing here is collected by pytest::

    python tests/tools/vessel_dice.py --data DATA/cf_octa --split test

Both maps are the shipped U-Net's, cut at one half. The pair is registered by a quadratic map of
its landmarks, and by ``imed-joint``, which lies closer than annotators do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.field_of_view import field_of_view
from imedbench.core.images import read_image
from imedbench.core.pairs_file import read_landmarks, read_pairs
from imedbench.core.polarity import has_dark_vessels
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Quadratic, Transform
from imedbench.core.types import Image
from imedbench.methods.transfer import TRANSFER_SIZE, TRANSFER_WEIGHTS, OctaLook, load_generator
from imedbench.methods.vessel_maps import Segmenter
from imedbench.methods.working_images import working_image

Plane = NDArray[np.float32]


def vessel_map(segmenter: Segmenter, image: Image) -> Plane:
    """Vessel probability in the image's own pixels, float32 H×W."""
    view = working_image(image, min(1.0, 512 / max(image.size)))
    strength = np.clip(segmenter.probability(view), 0, 1) * view.fov
    return np.asarray(cv2.resize(strength, image.size), np.float32)


def warped(plane: Plane, from_target: Transform, size: tuple[int, int]) -> Plane:
    """A plane in the frame of an image of another size."""
    y, x = np.mgrid[: size[1], : size[0]]
    places = from_target.apply(np.column_stack([x.ravel(), y.ravel()]).astype(np.float64))
    grid = places.reshape(size[1], size[0], 2).astype(np.float32)
    return np.asarray(cv2.remap(plane, grid, None, cv2.INTER_LINEAR), np.float32)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_], seen: NDArray[np.bool_]) -> float:
    """Dice of two masks where both images show something."""
    first, second = first & seen, second & seen
    return float(2 * (first & second).sum() / max(1, first.sum() + second.sum()))


def main() -> None:
    """Print the mean Dice of each look of the fundus and each registration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with pairs.csv")
    parser.add_argument("--split", default="test", choices=["train", "test"])
    parser.add_argument("--weights", default=TRANSFER_WEIGHTS, help="of the generator")
    options = parser.parse_args()
    segmenter = Segmenter("unet", "cpu")
    look = OctaLook(load_generator(options.weights), "cpu", TRANSFER_SIZE)
    joint = METHODS.create("imed-joint:selfcheck=false")
    joint.prepare("cpu")
    found: dict[tuple[str, str], list[float]] = {}
    for row in read_pairs(options.data, options.split):
        images = {side: read_image(options.data / row[side]) for side in ("fixed", "moving")}
        moving, fixed = read_landmarks(options.data / row["landmarks"])
        dark = has_dark_vessels(images["fixed"].grey(), field_of_view(images["fixed"].pixels))
        fundus, octa = ("fixed", "moving") if dark else ("moving", "fixed")
        points = {"fixed": fixed, "moving": moving}
        answer = joint.register(images[octa], images[fundus]).fixed_from_moving
        assert answer is not None
        ways = {
            "landmarks": Quadratic.fit(points[octa], points[fundus]),
            "imed-joint": answer.inverse(),
        }
        looks = {
            "polarity turned": vessel_map(segmenter, images[fundus]),
            "fake OCTA": vessel_map(segmenter, look(images[fundus])),
        }
        real = vessel_map(segmenter, images[octa]) > 0.5
        size = images[octa].size
        for way, fundus_from_octa in ways.items():
            whole = np.ones(images[fundus].size[::-1], np.float32)
            seen = warped(whole, fundus_from_octa, size) > 0.99
            seen &= field_of_view(images[octa].pixels)
            for name, plane in looks.items():
                shown = warped(plane, fundus_from_octa, size) > 0.5
                found.setdefault((way, name), []).append(dice(shown, real, seen))
    for (way, name), values in found.items():
        each = " ".join(f"{value:.3f}" for value in values)
        print(f"registered by {way:10s}  {name:15s}  {np.mean(values):.3f}  ({each})")


if __name__ == "__main__":
    main()
