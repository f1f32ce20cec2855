"""Has a method, or what translated the images for it, seen in training what it is judged on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.perceptual import known_images
from imedbench.core.translation import TranslatorInfo, was_translated
from imedbench.core.types import MethodInfo, Split

Looks = Mapping[tuple[Split, str], Sequence[str]]
"""Perceptual hashes of the images of a pair, by split and pair id."""


def seen_pairs(
    trained: MethodInfo | TranslatorInfo, dataset: str, refs: Sequence[PairRef], looks: Looks
) -> list[PairRef]:
    """Return the pairs whose eyes were in a training.

    Images are compared by content, so that a copy of a training set under another name is known.
    Only for weights that come without hashes are the names of data sets compared.

    Args:
        trained: says what it was trained on, ``DATASET`` or ``DATASET/SUBSET``, and the
            perceptual hashes of those images.
        dataset: name of the data set.
        refs: the pairs that are judged.
        looks: perceptual hashes of their images, as far as known.

    Returns:
        Those that were trained on, and those that share an eye with one.

    Example:
        >>> info = MethodInfo("m", "example", "affine", trained_on=("imed/train",))
        >>> ref = PairRef("001", "multi-modal", "train", "eye-1", "cf", "octa")
        >>> [r.pair_id for r in seen_pairs(info, "imed", [ref], {})]
        ['001']
    """
    if trained.training_images:
        prints = {ref: looks.get((ref.split, ref.pair_id), ()) for ref in refs}
        distinct = list({p for some in prints.values() for p in some})
        known = known_images(distinct, trained.training_images)
        seen = {p for p, is_known in zip(distinct, known, strict=True) if is_known}
        groups = {ref.group for ref in refs if not seen.isdisjoint(prints[ref])}
    else:
        names = {name.lower() for name in trained.trained_on}
        name = dataset.lower()
        groups = {r.group for r in refs if name in names or f"{name}/{r.subset}" in names}
    return [ref for ref in refs if ref.group in groups]


def leak_warnings(
    methods: Mapping[str, MethodInfo | None],
    dataset: DatasetInfo,
    refs: Sequence[PairRef],
    looks: Looks,
) -> list[str]:
    """Say which methods, and which translator, were trained on eyes of these pairs.

    Args:
        methods: by spec; None for one that could not be built.
        dataset: what the pairs are of.
        refs: the pairs that are judged.
        looks: perceptual hashes of their images, as far as known.

    Returns:
        A sentence each.
    """
    warnings = []
    for spec, info in methods.items():
        seen = seen_pairs(info, dataset.name, refs, looks) if info else []
        if seen:
            warnings.append(
                f"{spec} was trained on {_eyes(seen)} of the {_eyes(refs)} eyes here; on eyes that"
                " it has not seen, its results may be worse"
            )
    if dataset.translator is not None:
        eyes = seen_pairs(dataset.translator, dataset.name, refs, looks)
        seen = [ref for ref in eyes if was_translated(ref.note)]
        if seen:
            warnings.append(
                f"single-modal: the fixed images of {_eyes(seen)} eyes were translated by"
                f" {dataset.translator.name}, which was trained on these eyes; on other eyes the"
                " translations, and with them all results of this split, may be worse"
            )
    return warnings


def translation_remarks(dataset: DatasetInfo, refs: Sequence[PairRef]) -> list[str]:
    """Say what made the fixed images of the single-modal split, where they were made."""
    made = [ref for ref in refs if was_translated(ref.note)]
    if not made or dataset.translator is None:
        return []
    return [
        f"single-modal: the fixed images of {len(made)} pairs are colour fundus translated to OCTA"
        f" by {dataset.translator}"
    ]


def _eyes(refs: Sequence[PairRef]) -> int:
    return len({ref.group for ref in refs})
