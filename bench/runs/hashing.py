"""Hashes that say when two results are of the same thing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from imedbench.core.transforms import to_bytes
from imedbench.core.types import GroundTruth, Image, ImagePair


def prediction_key(
    *, method: str, code: str, weights: str, version: str, data: str, pair: str, seed: int
) -> str:
    """Key of a prediction: everything its transform depends on, in 32 hexadecimal digits.

    Args:
        method: spec with its options.
        code: hash of the method's source.
        weights: hash of its weights.
        version: the method's own.
        data: name, version and split of the data set.
        pair: hash of the images.
        seed: of the random numbers.
    """
    parts = [method, code, weights, version, data, pair, seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def pair_hash(pair: ImagePair) -> str:
    """Hash of what a method sees of a pair."""
    digest = hashlib.sha256(pair.pair_id.encode())
    for image in (pair.fixed, pair.moving):
        _update(digest, image)
    return digest.hexdigest()[:16]


def truth_hash(pair: ImagePair) -> str:
    """Hash of everything a score of this pair depends on."""
    digest = hashlib.sha256(pair_hash(pair).encode())
    truth: GroundTruth = pair.truth
    arrays = (truth.moving_points, truth.fixed_points, truth.fixed_vessels, truth.moving_vessels)
    for array in arrays:
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    digest.update(str(truth.spacing_um).encode())
    if truth.fixed_from_moving is not None:
        digest.update(to_bytes(truth.fixed_from_moving))
    return digest.hexdigest()[:16]


def seed_for(base: int, *parts: object) -> int:
    """Return a seed of its own for everything that is told apart by ``parts``; below 2³¹.

    Example:
        >>> seed_for(0, "synthetic", "eye-1") == seed_for(0, "synthetic", "eye-1")
        True
    """
    text = json.dumps([base, *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def _update(digest: Any, image: Image) -> None:
    digest.update(f"{image.modality} {image.pixels.shape}".encode())
    digest.update(np.ascontiguousarray(image.pixels).data)
