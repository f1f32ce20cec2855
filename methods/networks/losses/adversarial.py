"""Losses of CycleGAN (Zhu, Park, Isola and Efros, ICCV 2017)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def least_squares_gan(verdict: Tensor, *, real: bool) -> Tensor:
    """Mean squared distance of a verdict from 1 (real) or 0 (fake), LSGAN (Mao et al. 2017).

    Args:
        verdict: any shape.
        real: what the verdict ought to be; for a generator, which wants to pass, True.

    Returns:
        Scalar.
    """
    return F.mse_loss(verdict, torch.full_like(verdict, float(real)))


def discriminator_loss(verdict_real: Tensor, verdict_fake: Tensor) -> Tensor:
    """Half the sum of the least-squares losses on real and fake images.

    Args:
        verdict_real: on real images, any shape.
        verdict_fake: on fake images, any shape.

    Returns:
        Scalar.
    """
    real = least_squares_gan(verdict_real, real=True)
    return (real + least_squares_gan(verdict_fake, real=False)) / 2


def cycle_loss(image: Tensor, there_and_back: Tensor) -> Tensor:
    """Mean absolute difference between an image and its way through both generators.

    Args:
        image: B×C×H×W.
        there_and_back: B×C×H×W.

    Returns:
        Scalar, in the image's unit.
    """
    return F.l1_loss(there_and_back, image)


def identity_loss(image: Tensor, kept: Tensor) -> Tensor:
    """Mean absolute change a generator makes to an image that is of its target modality already.

    Args:
        image: B×C×H×W.
        kept: B×C×H×W, the generator's output for it.

    Returns:
        Scalar, in the image's unit.
    """
    return F.l1_loss(kept, image)
