"""Areas under the curve of the share of pairs whose error stays within a threshold.

Three definitions are in use that differ at the ends; a figure must say which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def auc_below(errors: Sequence[float], limit: int = 25) -> float:
    """Mean over the thresholds 1 … limit px of the share of errors below the threshold.

    Args:
        errors: one error a pair, px; infinite for failures.
        limit: largest threshold, px.

    Returns:
        In [0, 1].

    Source:
        Liu et al., SuperRetina, ECCV 2022, after Hernandez-Matas et al., FIRE, 2017.
    """
    thresholds = np.arange(1, limit + 1)
    return float((np.asarray(errors)[:, None] < thresholds).mean())


def auc_up_to(errors: Sequence[float], limit: int = 25) -> float:
    """Sum over the thresholds 0 … limit px of the share of errors up to it, over ``limit``.

    That is one term more than the divisor: errors of exactly 0 bring more than 1.

    Args:
        errors: one error a pair, px; infinite for failures.
        limit: largest threshold, px.

    Source:
        Sivaraman et al., RetinaRegNet, 2024: its published evaluation.
    """
    thresholds = np.arange(limit + 1)
    return float((np.asarray(errors)[:, None] <= thresholds).mean(axis=0).sum() / limit)


def auc_recall(errors: Sequence[float], threshold: float) -> float:
    """Area under the recall curve up to a threshold, over the threshold.

    The curve runs straight from (0, 0) through (i-th smallest error, i / n) and stays level from
    the last error below the threshold on.

    Args:
        errors: one error a pair, px; infinite for failures.
        threshold: right end of the area, px.

    Returns:
        In [0, 1].

    Source:
        Sarlin et al., SuperGlue, CVPR 2020, there of pose errors.
    """
    ordered = np.sort(np.asarray(errors, np.float64))
    inside = int((ordered < threshold).sum())
    x = np.concatenate([[0.0], ordered[:inside], [threshold]])
    recall = np.arange(inside + 1) / ordered.size
    y = np.append(recall, recall[-1])
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / threshold)
