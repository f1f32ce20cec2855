"""Teach the trained joint network how sure it may be: right answers, wrong ones, other eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imedbench.core.errors import BadInput
from imedbench.methods.coarse_to_fine_search import Starts
from imedbench.methods.networks import polynomial_fit as poly
from imedbench.methods.networks.coarse_to_fine import Step, warp
from imedbench.methods.networks.losses.stages import end_point_error
from imedbench.methods.networks.unit_frame import grid_points
from imedbench.methods.training.aligned_eyes import AlignedEye, Motion
from imedbench.methods.training.joint import JointTask, read_folders
from imedbench.methods.training.joint_config import JointConfig
from imedbench.methods.training.joint_losses import PX_512, QUERIES, inside
from imedbench.methods.training.task import Sample

_GLOBAL_RIGHT, _GLOBAL_WRONG = 25.0, 40.0  # px at 512: what the local stage mends, and what not
_RIGHT, _WRONG = 6.0, 10.0  # px at 512; between the two an answer is neither
_SEEN = 0.15  # of the fixed image: with less in view there is no saying


@dataclass(frozen=True, kw_only=True)
class JudgeConfig(JointConfig):
    """Settings of the judges; those of the network's own losses do not count.

    Args:
        others: share of pairs that show two different eyes.
        far: share of the other pairs that are turned and zoomed by any amount.
        stray: share of pairs of one eye that start anywhere, so that most end wrong.
        local_steps: before the last judgement.
    """

    others: float = 0.35
    far: float = 0.4
    stray: float = 0.3
    local_steps: int = 2

    @property
    def far_motion(self) -> Motion:
        """Any rotation, zoom to 2."""
        return replace(self.motion(wide=True), rotation=180.0, scale=2.0)


class JudgeTask(JointTask):
    """Trains the two judges; everything else stays as it was, normalisation included."""

    config: JudgeConfig

    def __init__(self, config: JudgeConfig, folders: Sequence[Sequence[AlignedEye]]) -> None:
        if not config.start:
            raise BadInput("start: name the trained network, FOLDER/NAME, whose judges to train")
        super().__init__(config, folders)
        self.net.eval().requires_grad_(False)
        for judge in (self.net.globally.judge, self.net.locally.judge):
            judge.requires_grad_(True)
        self._starts = Starts.all()

    def train(self, mode: bool = True) -> JudgeTask:
        """Switch to training; the network's normalisation stays as it is."""
        super().train(mode)
        self.net.eval()
        return self

    def sample(
        self, eyes: Sequence[AlignedEye], motion: Motion, rng: np.random.Generator
    ) -> Sample:
        """Return a pair, whether it is of one eye, and a start."""
        motion = self.config.far_motion if rng.random() < self.config.far else motion
        sample = super().sample(eyes, motion, rng)
        same = bool(rng.random() >= self.config.others)
        if not same:
            sample["moving"] = super().sample(self.pick_folder(rng), motion, rng)["moving"]
        if same and rng.random() >= self.config.stray:
            start = self._nearest_start(sample["true"])
        else:
            start = int(rng.integers(len(self._starts)))
        return {
            **sample,
            "same": torch.tensor(same),
            "fixed_start": self._starts.fixed[start],
            "moving_start": self._starts.moving[start],
        }

    def _nearest_start(self, true: Tensor) -> int:
        """The start whose rotation and zoom are nearest to the truth's."""
        points = grid_points((QUERIES,) * 2)[0]
        linear = torch.linalg.lstsq(poly.basis(points)[:, :3], true).solution[1:].T
        zoom = self._starts.fixed[:, 1, 0, None, None]
        left = torch.linalg.inv(self._starts.moving[:, :, :2]) @ linear * zoom - torch.eye(2)
        return int(left.square().sum(dim=(1, 2)).argmin())

    def losses(self, batch: Sample) -> dict[str, Tensor]:
        """Cross-entropy of both judgements, and how many of each kind are misjudged."""
        starts = Starts(batch["fixed_start"], batch["moving_start"])
        views = (
            batch["fixed"],
            warp(batch["fixed"], starts.fixed),
            warp(batch["moving"], poly.from_affine(starts.moving)),
        )
        encoded = self.net.encode(torch.cat(views))
        fixed, here, there = (encoded[i * len(starts) : (i + 1) * len(starts)] for i in range(3))
        first = self.net.globally(here.coarse, there.coarse)
        first = replace(first, map=starts.whole(first.map))
        last = first
        for _ in range(self.config.local_steps):
            last = self.net.refine(fixed, warp(batch["moving"], last.map), last.map)
        losses = _judgement("global", first, batch, _GLOBAL_RIGHT, _GLOBAL_WRONG)
        losses |= _judgement("local", last, batch, _RIGHT, _WRONG)
        return {**losses, "loss": losses["global"] + losses["local"]}

    def validation_step(self, batch: Sample, index: int) -> None:
        """Return the loss again, as the score."""
        losses = self.losses(batch)
        self.log_values("val", {**losses, "score": losses["loss"]}, len(batch["fixed"]))


def _judgement(
    name: str, step: Step, batch: Sample, right_px: float, wrong_px: float
) -> dict[str, Tensor]:
    points = grid_points((QUERIES,) * 2, step.map.device)[0]
    seen = inside(batch["true"])
    error = end_point_error(poly.evaluate(step.map, points), batch["true"], seen) * PX_512
    wrong = ~batch["same"] | (error > wrong_px)
    right = batch["same"] & (error < right_px)
    counts = (right | wrong) & (~batch["same"] | (seen.float().mean(dim=1) > _SEEN))
    entropy = F.binary_cross_entropy_with_logits(step.odds, right.float(), reduction="none")
    return {
        name: (entropy * counts).sum() / counts.sum().clamp(min=1),
        f"{name}_missed": _share(step.odds < 0, right & counts),
        f"{name}_passed": _share(step.odds > 0, wrong & counts),
    }


def _share(judged: Tensor, among: Tensor) -> Tensor:
    return (judged & among).sum() / among.sum().clamp(min=1)


def build(config: JudgeConfig, data: Sequence[Path]) -> JudgeTask:
    """Read eyes to train the judges of a joint network on.

    Args:
        config: settings; ``start`` names the network.
        data: as for the network, better with eyes that it did not see.
    """
    return JudgeTask(config, read_folders(config, data))
