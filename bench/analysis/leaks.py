"""Has a method seen, in training, what it is judged on?"""

from __future__ import annotations

from collections.abc import Sequence

from imedbench.core.datasets import PairRef
from imedbench.core.types import MethodInfo


def seen_pairs(info: MethodInfo, dataset: str, refs: Sequence[PairRef]) -> list[PairRef]:
    """The pairs whose eyes a method's weights were trained on.

    Args:
        info: the method's, with ``trained_on`` as ``DATASET`` or ``DATASET/SUBSET``.
        dataset: name of the data set.
        refs: the pairs that are judged.

    Returns:
        Those in a subset that was trained on, and those that share an eye with one.

    Example:
        >>> info = MethodInfo("m", "example", "affine", trained_on=("imed/train",))
        >>> ref = PairRef("001", "multi-modal", "train", "eye-1", "cf", "octa")
        >>> [r.pair_id for r in seen_pairs(info, "imed", [ref])]
        ['001']
    """
    trained = {name.lower() for name in info.trained_on}
    name = dataset.lower()
    direct = [r for r in refs if name in trained or f"{name}/{r.subset}" in trained]
    eyes = {ref.group for ref in direct}
    return [ref for ref in refs if ref.group in eyes]


def leak_warnings(
    methods: dict[str, MethodInfo | None], dataset: str, refs: Sequence[PairRef]
) -> list[str]:
    """A sentence for each method that is judged on eyes it was trained on."""
    warnings = []
    for spec, info in methods.items():
        seen = seen_pairs(info, dataset, refs) if info else []
        if seen:
            warnings.append(
                f"{spec} was trained on {len({r.group for r in seen})} of the"
                f" {len({r.group for r in refs})} eyes here: its figures flatter it"
            )
    return warnings
