"""Settings of the coarse-to-fine joint network's training."""

from __future__ import annotations

from dataclasses import dataclass

from imedbench.methods.training.aligned_eyes import Motion
from imedbench.methods.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class JointConfig(TrainingConfig):
    """Settings of the coarse-to-fine joint network.

    Args:
        shares: of each data folder among the pairs; empty for equal ones.
        zooms: magnification of each data folder at the transfer, 1 for images 512 px wide; a
            single one is for all.
        transformer_weights: name of the shipped generator whose fake OCTA is shown as one more
            image of each colour photograph; empty for none.
        start: weights (``FOLDER/NAME``) to start from; empty for none.
        ridge: added to the logarithm of the local stage's ridge on quadratic terms at the start.
        narrow_epochs: first so many epochs show narrow motion alone.
        wide: share of wide motion afterwards.
        rotation: of the wide motion, degrees.
        scale: of the wide motion, factor.
        shift: of the wide motion, share of the side.
        perspective: of all motion.
        bend: of all motion; half of the pairs are flat.
        matching: weight of the cross-entropies of the matches.
        segmentation: weight of the report's Dice and cross-entropy.
        overlap: weight of the report's reverse hinge and Chamfer distance.
        chamfer: weight of the Chamfer distance beside the hinge, 1/px at `_MAP` px.
        flatness: weight of the quadratic terms' size where the pair is flat, 1/px at 512.
        noise: share of pairs whose local stage starts from the truth and an error of its own.
        hold_out: one in so many eyes of each folder validates.
        validation_pairs: number of pairs to validate on.
    """

    shares: tuple[float, ...] = ()
    zooms: tuple[float, ...] = (1.0,)
    transformer_weights: str = "cf_to_octa"
    start: str = ""
    ridge: float = 0.0
    narrow_epochs: int = 4
    wide: float = 0.6
    rotation: float = 35.0
    scale: float = 1.45
    shift: float = 0.28
    perspective: float = 0.02
    bend: float = 0.02
    matching: float = 1.0
    segmentation: float = 0.2
    overlap: float = 0.1
    chamfer: float = 0.05
    flatness: float = 0.05
    noise: float = 0.4
    hold_out: int = 20
    validation_pairs: int = 64

    def motion(self, *, wide: bool) -> Motion:
        """Return the range of the wide motion, or of motion like that of `IMED` and some more."""
        rotation, scale, shift = (
            (self.rotation, self.scale, self.shift) if wide else (12.0, 1.15, 0.1)
        )
        return Motion(
            rotation=rotation,
            scale=scale,
            shift=shift,
            perspective=self.perspective,
            bend=self.bend,
        )
