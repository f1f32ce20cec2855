"""Pairs of one eye or patient are not independent: statistics resample and test whole groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Floats
from imedbench.core.errors import ContractError


def group_codes(n: int, groups: Sequence[str] | None) -> NDArray[np.intp]:
    """Number the groups of n pairs, 0 upwards.

    Args:
        n: number of pairs.
        groups: name of each pair's group; None or an empty name makes a pair a group of its own.

    Raises:
        ContractError: when there is not one name a pair.
    """
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ContractError(f"{n} pairs need {n} groups, got {len(groups)}")
    # The number keeps pairs of unknown group apart, the name those of known group together.
    keys = [("", i) if name == "" else (name, -1) for i, name in enumerate(groups)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.intp)


def group_sums(values: Floats, codes: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Sum of the values, along their first axis, and number of pairs in each group."""
    n_groups = int(codes.max()) + 1 if codes.size else 0
    sums = np.zeros((n_groups, *values.shape[1:]))
    with np.errstate(invalid="ignore"):  # both infinities in one group: its sum is NaN
        np.add.at(sums, codes, values)
    return sums, np.bincount(codes, minlength=n_groups).astype(np.float64)


def group_means(values: Floats, groups: Sequence[str] | None) -> Floats:
    """Mean of the values in each group, along their first axis, in order of first appearance."""
    sums, counts = group_sums(values, group_codes(len(values), groups))
    means: Floats = sums / counts.reshape(-1, *[1] * (values.ndim - 1))
    return means
