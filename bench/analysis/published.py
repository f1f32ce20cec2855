"""Figures that others published, dated and cited: shown apart, never measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published result.

    Args:
        method: as its authors call it.
        dataset: that it was measured on.
        split: single-modal or multi-modal.
        figures: by name; None where the source prints a dash.
        source: where it stands.
        year: when it was published.
        ours: the method here that is its counterpart; empty for none.
    """

    method: str
    dataset: str
    split: str
    figures: Mapping[str, float | None]
    source: str
    year: int
    ours: str = ""


_SEED = "Dong, Nie and Wei, Deep Learning Based Medical Image Registration, SUSTech, figs. 16, 17"


def _imed(
    split: str, method: str, ours: str, mse: float | None, rmse: float | None, failures: int
) -> Published:
    figures = {"mse": mse, "rmse": rmse, "failures": float(failures), "n": 13.0}
    return Published(
        method, "imed", split, figures, f"{_SEED}, tables of figs. 16 and 17", 2022, ours
    )


def _fire(method: str, name: str, value: float, source: str, year: int) -> Published:
    return Published(method, "fire", "single-modal", {name: value}, source, year)


PUBLISHED: tuple[Published, ...] = (
    _imed("multi-modal", "Our Model", "imed-joint", 0.119, 0.344, 0),
    _imed("multi-modal", "SIFT", "sift", None, None, 13),
    _imed("multi-modal", "SuperPoint + SuperGlue", "superpoint-superglue", None, None, 13),
    _imed("single-modal", "Our Model", "imed-joint", 0.119, 0.344, 0),
    _imed("single-modal", "SIFT", "sift", 0.138, 0.371, 12),
    _imed("single-modal", "SuperPoint + SuperGlue", "superpoint-superglue", 0.090, 0.300, 3),
    _fire("SuperRetina", "mauc", 0.757, "Liu et al., SuperRetina, ECCV 2022", 2022),
    _fire("SuperRetina + GAMorph", "mauc", 0.802, "as its authors report it", 2024),
    _fire("GeoFormer", "mauc", 0.749, "from its published errors of each pair", 2023),
    _fire("EyeLiner", "mean landmark error, px", 3.81, "EyeLiner, as its authors report it", 2024),
    _fire("RetinaRegNet", "mean landmark error, px", 3.12, "Sivaraman et al., RetinaRegNet", 2024),
)


def published(dataset: str, split: str) -> list[Published]:
    """Find what was published on a data set and split."""
    return [row for row in PUBLISHED if (row.dataset, row.split) == (dataset, split)]


def counterpart(split: str, method: str) -> Published | None:
    """Find the row of the 2022 report for a method of ours, on whatever data that runs here.

    Example:
        >>> counterpart("single-modal", "sift").figures["failures"]
        12.0
    """
    rows = [row for row in published("imed", split) if row.ours == method]
    return rows[0] if rows else None
