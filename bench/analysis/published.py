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
        checked: the public text in which the figure was read; empty where none was found.
        ours: the method here that is its counterpart; empty for none.
    """

    method: str
    dataset: str
    split: str
    figures: Mapping[str, float | None]
    source: str
    year: int
    checked: str = ""
    ours: str = ""


_SEED = "Dong, Nie and Wei, Deep Learning Based Medical Image Registration, SUSTech"
_GAMORPH = "Liu et al., Progressive Retinal Image Registration, BIBM 2024"
_README = "the benchmark table of github.com/lyp-deeplearning/awesome-retinal-registration"
_STUDY = "Dharmaseelan et al., Explor. Digit. Health Technol. 4, 101194"
_LOG = "GeoFormer.txt of github.com/ThenukaDharmaseelan/image_Registration"


def _imed(
    split: str, method: str, ours: str, mse: float | None, rmse: float | None, failures: int
) -> Published:
    figures = {"mse": mse, "rmse": rmse, "failures": float(failures), "n": 13.0}
    tables = "the tables of its figs. 16 and 17"
    return Published(method, "imed", split, figures, _SEED, 2022, tables, ours)


def _fire(
    method: str, figures: Mapping[str, float], source: str, year: int, checked: str = ""
) -> Published:
    return Published(method, "fire", "single-modal", figures, source, year, checked)


PUBLISHED: tuple[Published, ...] = (
    _imed("multi-modal", "Our Model", "imed-joint", 0.119, 0.344, 0),
    _imed("multi-modal", "SIFT", "sift", None, None, 13),
    _imed("multi-modal", "SuperPoint + SuperGlue", "superpoint-superglue", None, None, 13),
    _imed("single-modal", "Our Model", "imed-joint", 0.119, 0.344, 0),
    _imed("single-modal", "SIFT", "sift", 0.138, 0.371, 12),
    _imed("single-modal", "SuperPoint + SuperGlue", "superpoint-superglue", 0.090, 0.300, 3),
    _fire(
        "SuperRetina",
        {"mauc": 0.757},
        "Liu et al., SuperRetina, ECCV 2022; its released code prints 0.762",
        2022,
        f"{_README}; the README of github.com/ruc-aimc-lab/SuperRetina",
    ),
    _fire("SuperRetina + GAMorph", {"mauc": 0.802}, _GAMORPH, 2024, _README),
    _fire(
        "GeoFormer",
        {"mauc": 0.752, "mauc with P37": 0.749, "mean landmark error with P37, px": 6.10},
        f"{_STUDY}; areas computed from its errors of each pair",
        2026,
        _LOG,
    ),
    _fire("EyeLiner", {"mean landmark error, px": 3.81}, "EyeLiner, Ophthalmol. Sci. 2025", 2025),
    _fire("RetinaRegNet", {"mean landmark error, px": 3.12}, "Sivaraman et al., 2024", 2024),
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
