"""How likely a registration is right, read off the matches it was solved from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CUES = 6  # numbers a match


class MatchJudge(nn.Module):
    """A small perceptron over the matches' means, plain and weighted.

    What it reads is detached, so that the matches are trained to be right and not to look so.

    Args:
        hidden: units of its only layer.
    """

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3 * CUES + 1, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, cues: Tensor, weight: Tensor) -> Tensor:
        """Log odds that the registration is right, B.

        Args:
            cues: of each match, B×N×`CUES`, about 1 in size.
            weight: that each match had in the fit, B×N.
        """
        cues, weight = cues.detach(), weight.detach()
        share = (weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-8))[..., None]
        centre = (share * cues).sum(dim=1)
        spread = (share * (cues - centre[:, None]).square()).sum(dim=1).sqrt()
        total = weight.mean(dim=1, keepdim=True).clamp(min=1e-6).log() / 4
        read = torch.cat([cues.mean(dim=1), centre, spread, total], dim=1)
        odds: Tensor = self.layers(read)
        return odds[:, 0]
