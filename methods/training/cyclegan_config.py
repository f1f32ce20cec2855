"""What a training of CycleGAN can be set to."""

from __future__ import annotations

from dataclasses import dataclass

from imedbench.methods.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig(TrainingConfig):
    """Settings of CycleGAN; the defaults are the paper's.

    Args:
        learning_rate: constant over the first half, then falling to 0 along a line.
        width: channels of the generators at full resolution.
        blocks: residual blocks of the generators.
        judge_width: channels of the discriminators' first layer.
        crop: side of the training squares, px.
        zooms: magnification of each data folder, in the order they are given, 1 being an image
            shown 512 px wide: makes vessels of one kind equally wide in all; empty for all 1.
        zoom_jitter: zooms vary by up to this factor.
        cycle: weight of the cycle loss.
        identity: weight of the identity loss, relative to the cycle loss.
        vessels: weight of the Dice loss between the vessels before and after the transfer; not
            in the paper, 0 turns it off.
        vessel_weights: name of the shipped segmentation that finds them.
        start: weights (``FOLDER/NAME``) from which the generator of OCTA starts; empty for none.
        pool: fake images kept for the discriminators.
        hold_out: one in so many images of each folder and modality validates.
    """

    epochs: int = 200
    batch_size: int = 1
    learning_rate: float = 2e-4
    width: int = 64
    blocks: int = 9
    judge_width: int = 64
    crop: int = 256
    zooms: tuple[float, ...] = (1.0,)
    zoom_jitter: float = 1.2
    cycle: float = 10.0
    identity: float = 0.5
    vessels: float = 0.0
    vessel_weights: str = "vessels"
    start: str = ""
    pool: int = 50
    hold_out: int = 10
