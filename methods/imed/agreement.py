"""Tell how far, and how closely, the vessels of two images meet under candidate poses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imedbench.core.arrays import Mask, Plane
from imedbench.methods.imed.lines import MATCH_RADIUS
from imedbench.methods.imed.pairing import Pairs

_FITTING = 0.7  # cosine of twice the angle between vessels that meet
_MAX_CHANCE = 0.9


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far vessels meet beyond chance, for K poses.

    Args:
        excess_match_rate: K, share of the vessels in the overlap that meet, less what chance gives;
            geometric mean of both directions.
        z_score: K, the same in standard deviations of chance.
        overlap: K, share of an image's vessels that lie in the overlap, the larger of both.
    """

    excess_match_rate: Plane
    z_score: Plane
    overlap: Plane


@dataclass(frozen=True, eq=False)
class Meeting:
    """The vessels that meet, for K poses, in px of the coarser image.

    Args:
        length: K, of both images' vessels together, sure ones counted in full.
        spread: K, root mean square distance across the vessels; `MATCH_RADIUS` where none meet.
    """

    length: Plane
    spread: Plane


def measure_agreement(pairs: Pairs, reach: float = MATCH_RADIUS) -> Agreement:
    """Measure how many vessels meet beyond chance.

    Args:
        pairs: from `find_pairs`.
        reach: px of the coarser image within which two vessels meet.
    """
    grown = np.maximum(pairs.scale, 1)
    met, weight = _meeting(pairs, reach), _weights(pairs)
    chance = np.minimum(pairs.chance * (grown * (reach / MATCH_RADIUS)), _MAX_CHANCE)
    rates, z_scores, overlaps = [], [], []
    for way in (slice(pairs.forward), slice(pairs.forward, None)):
        w, c = weight[:, way], chance[:, way]
        excess = np.maximum((w * (met[:, way] - c)).sum(1), 0)
        rates.append(excess / np.maximum(w.sum(1), 1e-6))
        z_scores.append(excess / (np.sqrt((w**2 * c * (1 - c)).sum(1)) + 1e-6))
        own = pairs.own_weight[way]
        overlaps.append((own * pairs.in_view[:, way]).sum(1) / own.sum())
    return Agreement(
        np.sqrt(rates[0] * rates[1]),
        np.sqrt(z_scores[0] * z_scores[1]),
        np.maximum(overlaps[0], overlaps[1]),
    )


def measure_meeting(pairs: Pairs) -> Meeting:
    """Measure how much of the vessels meets, and how closely.

    The same vessels lie on each other but for the error; strangers do anywhere within the radius.
    """
    weight = _weights(pairs) * _meeting(pairs, MATCH_RADIUS)
    across = pairs.across / np.maximum(pairs.scale, 1)
    length = weight.sum(1)
    mean = (weight * across**2).sum(1) / np.maximum(length, 1e-6)
    return Meeting(length, np.where(length > 0, np.sqrt(mean), MATCH_RADIUS))


def _meeting(pairs: Pairs, reach: float) -> Mask:
    """Whether vessels run alike within so many px of the coarser image, K×N."""
    near = pairs.distance < reach * np.maximum(pairs.scale, 1)
    return np.asarray(near & (pairs.fits > _FITTING))


def _weights(pairs: Pairs) -> Plane:
    """How much each point that looks for a partner counts, K×N."""
    # Line length is counted in pixels of the coarser image, so that shrinking pays nothing.
    weight = pairs.own_weight * pairs.in_view
    weight[:, : pairs.forward] *= np.minimum(pairs.scale, 1)
    weight[:, pairs.forward :] /= np.maximum(pairs.scale, 1)
    return np.asarray(weight)
