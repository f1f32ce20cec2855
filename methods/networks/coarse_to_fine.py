"""The joint network, coarse to fine: one encoder that segments, matches and refines.

A global correlation of both images gives an affine transform in closed form. The moving image is
then warped by it, encoded again and compared with the fixed one in a small neighbourhood, which
gives a quadratic field; that step repeats with the same weights. Images are B×1×S×S with bright
vessels, 0 where they show nothing; maps are those of `polynomial_fit`, moving from fixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.methods.networks import polynomial_fit as poly
from imedbench.methods.networks.joint_encoder import Encoder, Features, NormalisedConv
from imedbench.methods.networks.local_correlation import displacements, local_correlation
from imedbench.methods.networks.match_judge import MatchJudge
from imedbench.methods.networks.unet import channels_last
from imedbench.methods.networks.unit_frame import grid_points, smooth_grid

SIZE = 256  # px, side of the images
_NEAR = 3.5  # cells round the best match over which it is averaged


@dataclass(frozen=True, eq=False)
class Step:
    """What one stage found.

    Args:
        map: moving from fixed, B×`poly.TERMS`×2.
        log_match: log probability of each candidate for each query, B×N×M.
        odds: log odds that the map is right, B.
    """

    map: Tensor
    log_match: Tensor
    odds: Tensor


class GlobalStage(nn.Module):
    """Correlate every second cell with all cells of the other image; solve for an affine map."""

    def __init__(self) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(math.log(12.0)))
        self.reduced = nn.Conv2d(64, 16, 1)
        self.trust = nn.Sequential(
            nn.Conv2d(6 + 16, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 1, 3, padding=1)
        )
        self.log_ridge = nn.Parameter(torch.tensor([-5.0, -5.0]))
        self.log_outlier = nn.Parameter(torch.tensor(math.log(0.1)))
        self.judge = MatchJudge()

    def forward(self, fixed: Tensor, moving: Tensor) -> Step:
        """Return the affine map between coarse features, B×64×n×n each."""
        batch, _, side, _ = fixed.shape
        cells = grid_points((side, side), fixed.device)[0]
        here = cells.view(side, side, 2)[::2, ::2].reshape(-1, 2)
        asked = fixed[:, :, ::2, ::2]
        cosine = torch.einsum("bcn,bcm->bnm", asked.flatten(2), moving.flatten(2))
        logits = cosine * self.log_temperature.exp()
        log_match = logits.log_softmax(dim=2)
        match = log_match.exp()
        near = (cells[match.argmax(dim=2)][:, :, None] - cells).abs().amax(-1) < 2 * _NEAR / side
        close = match * near
        mass = close.sum(dim=2)
        there = (close @ cells) / mass[..., None]
        with torch.no_grad():
            entropy = -(match * log_match).sum(dim=2)
            mutual = (match * logits.softmax(dim=1)).sum(dim=2)
        offset = 4 * (there - here)
        cues = torch.stack([entropy / 5, mass, 4 * mutual, cosine.amax(dim=2)], -1)
        seen = torch.cat([cues, offset], -1).transpose(1, 2).reshape(batch, -1, *asked.shape[2:])
        trust = self.trust(torch.cat([seen, self.reduced(asked)], 1)).flatten(1)
        weight = (trust.clamp(-8, 8) - entropy).exp()
        start = poly.identity(batch, there)
        found = poly.ridge_fit(start, here, there, weight, self.log_ridge, 1)
        for _ in range(2):  # matches far from the fit count less (Cauchy), twice
            left = (there - poly.evaluate(found, here)).square().sum(-1)
            steady = weight / (1 + left / (2 * self.log_outlier).exp())
            found = poly.ridge_fit(start, here, there, steady, self.log_ridge, 1)
        left = (there - poly.evaluate(found, here)).norm(dim=-1)
        inside = (poly.evaluate(found, here).abs().amax(-1) < 1).float()
        cues = torch.cat([cues, left.clamp(max=1)[..., None] * 4, inside[..., None]], -1)
        return Step(found, log_match, self.judge(cues, steady))


class LocalStage(nn.Module):
    """Correlate with the warped moving image nearby; solve for a quadratic field.

    Args:
        radius: of the neighbourhood, cells of four px.
    """

    def __init__(self, radius: int = 4) -> None:
        super().__init__()
        self.radius = radius
        bins = (2 * radius + 1) ** 2
        self.log_temperature = nn.Parameter(torch.tensor(math.log(8.0)))
        self.trunk = nn.Sequential(
            nn.Conv2d(bins + 24, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU()
        )
        self.outputs = nn.Conv2d(64, bins + 3, 1)  # evidence a bin, offset within it, trust
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)  # type: ignore[arg-type]
        self.log_ridge = nn.Parameter(torch.tensor([-6.0, -5.0]))
        self.judge = MatchJudge()

    def forward(self, fixed: Tensor, warped: Tensor, before: Tensor) -> Step:
        """Refine a map.

        Args:
            fixed: fine features, B×24×n×n.
            warped: those of the moving image as the map shows it.
            before: the map.
        """
        side = fixed.shape[-1]
        cosine = local_correlation(fixed, warped, self.radius)
        read = self.outputs(self.trunk(torch.cat([3 * cosine, fixed], 1))).flatten(2)
        evidence, within, trust = read.float().transpose(1, 2).split([cosine.shape[1], 2, 1], 2)
        pooled = F.avg_pool2d(cosine, 2).flatten(2).transpose(1, 2)
        log_match = (pooled * self.log_temperature.exp() + evidence).log_softmax(dim=2)
        match = log_match.exp()
        cell = 2 / side
        moved = (match @ displacements(self.radius).to(match) + within.tanh()) * cell
        entropy = -(match * log_match).sum(dim=2).detach()
        weight = (trust[..., 0].clamp(-8, 8) - entropy).exp()
        here = grid_points((side // 2, side // 2), fixed.device)[0]
        # The warped image's cell at p + d shows the moving image's point before(p + d).
        there = poly.evaluate(before, here + moved)
        found = poly.ridge_fit(before, here, there, weight, self.log_ridge, 2)
        left = (there - poly.evaluate(found, here)).norm(dim=-1) / cell
        inside = (poly.evaluate(found, here).abs().amax(-1) < 1).float()
        best = pooled.amax(dim=2)
        step = moved.norm(dim=-1) / cell
        cues = torch.stack([entropy / 4, match.amax(2), best, left, step / 4, inside], -1)
        return Step(found, log_match, self.judge(cues, weight))


class CoarseToFine(nn.Module):
    """Encoder, global stage and local stage.

    Args:
        radius: of the local correlation, cells of four px.
    """

    def __init__(self, radius: int = 4) -> None:
        super().__init__()
        self.size = SIZE
        self.encoder = channels_last(Encoder())
        self.globally, self.locally = GlobalStage(), LocalStage(radius)
        self.use_bfloat16 = False  # convolutions of the encoder, where the processor is fast at it

    def encode(self, images: Tensor, *, vessels: bool = False) -> Features:
        """Features of images, and the vessels if asked for."""
        kind = images.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.use_bfloat16):
            features: Features = self.encoder(images, vessels=vessels)
        return features

    def refine(self, fixed: Features, warped: Tensor, before: Tensor) -> Step:
        """One local step from a map, with the moving images as it shows them (`warp`)."""
        step: Step = self.locally(fixed.fine, self.encode(warped).fine, before)
        return step

    def folded(self) -> CoarseToFine:
        """Return the network for inference: normalisation folded in, no gradients."""
        self.eval().requires_grad_(False)
        for module in self.modules():
            if isinstance(module, NormalisedConv):
                module.fold()
        return self


def warp(moving: Tensor, map_: Tensor) -> Tensor:
    """Moving images of any size in the frame of the fixed ones; no gradient, 0 outside."""
    with torch.no_grad():
        grid = smooth_grid(
            lambda points: poly.evaluate(map_, points), (SIZE, SIZE), device=moving.device
        )
        return F.grid_sample(moving.expand(len(grid), -1, -1, -1), grid, align_corners=False)
