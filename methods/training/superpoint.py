"""Train SuperPoint on views of one retina whose correspondence is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from imedbench.core.arrays import Points
from imedbench.methods.networks.keypoints import (
    Detection,
    Keypoints,
    match_mutually,
    sample_descriptors,
)
from imedbench.methods.networks.losses.keypoints import cell_labels, contrastive_loss
from imedbench.methods.networks.superpoint import SuperPoint
from imedbench.methods.training.config import TrainingConfig
from imedbench.methods.training.match_picture import picture_matches
from imedbench.methods.training.matched_views import (
    MatchedView,
    Style,
    Subject,
    ViewMotion,
    between,
    corresponding_points,
    in_view,
    project_points,
    read_subjects,
    take_views,
)
from imedbench.methods.training.task import Sample, TrainingTask
from imedbench.methods.training.vessel_folders import hold_out, read_folder

_RIGHT_PX = 3.0  # a match this close to the truth is right


@dataclass(frozen=True, kw_only=True)
class SuperPointConfig(TrainingConfig):
    """Settings of the SuperPoint training.

    Args:
        descriptor_dim: length of a descriptor.
        crop: side of the views, px.
        points: correspondences of a pair of views that train descriptors.
        temperature: of the contrastive loss.
        empty_weight: of cells without a keypoint; they are many.
        descriptor_weight: of the descriptor loss against the detector's.
        rotation: between two views, at most, in degrees.
        drawn: share of views that show the vessels alone; 0 with ``inverted`` 0 trains the
            single-modal variant.
        inverted: share of views with dark vessels.
        hold_out: one in so many training images of each folder validates.
        validation_pairs: pairs of views of each folder.
    """

    descriptor_dim: int = 256
    crop: int = 160
    points: int = 128
    temperature: float = 0.05
    empty_weight: float = 0.2
    descriptor_weight: float = 1.0
    rotation: float = 30.0
    drawn: float = 0.25
    inverted: float = 0.0
    hold_out: int = 10
    validation_pairs: int = 8


class SuperPointTask(TrainingTask[SuperPointConfig]):
    """Cell-wise cross-entropy on vessel corners and a contrastive loss on correspondences.

    Scored by the share of keypoints seen in both views that mutual nearest neighbours match right,
    on held-out eyes.

    Args:
        config: settings.
        folders: subjects of each folder; each folder gives the same share of views.
    """

    def __init__(self, config: SuperPointConfig, folders: Sequence[Sequence[Subject]]) -> None:
        super().__init__(config)
        splits = [hold_out(subjects, config.hold_out) for subjects in folders]
        self._train = [train for train, _ in splits]
        self._motion = ViewMotion(rotation=config.rotation)
        self._style = Style(drawn=config.drawn, inverted=config.inverted)
        self.net = SuperPoint(config.descriptor_dim)
        initialise(self.net)
        rng = np.random.default_rng([config.seed, 1])
        self._held_out = [
            [self._views(subjects, 2 * config.crop, rng) for _ in range(config.validation_pairs)]
            for _, subjects in splits
        ]

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return a pair of views, their corner labels and corresponding points."""
        config = self.config
        folder = self._train[rng.integers(len(self._train))]
        views = self._views(folder, config.crop, rng)
        first, second = corresponding_points(*views, config.points, rng)
        return {
            "planes": torch.from_numpy(np.stack([v.plane for v in views])),
            "labels": torch.stack([cell_labels(v.corners, config.crop) for v in views]),
            "first": torch.from_numpy(first),
            "second": torch.from_numpy(second),
        }

    def _views(
        self, subjects: Sequence[Subject], size: int, rng: np.random.Generator
    ) -> tuple[MatchedView, MatchedView]:
        subject = subjects[int(rng.integers(len(subjects)))]
        return take_views(subject, size, self._motion, self._style, rng)

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Detector and descriptor loss of one batch of pairs."""
        config = self.config
        planes = batch["planes"].flatten(0, 1)[:, None]
        dense = self.net(planes)
        weight = torch.ones(dense.logits.shape[1], device=planes.device)
        weight[-1] = config.empty_weight
        detector = F.cross_entropy(dense.logits, batch["labels"].flatten(0, 1), weight)
        first, second = (
            sample_descriptors(dense.descriptors[i::2], batch[name].nan_to_num())
            for i, name in enumerate(("first", "second"))
        )
        descriptor = contrastive_loss(
            first, second, batch["first"], batch["second"], config.temperature
        )
        loss = detector + config.descriptor_weight * descriptor
        values = {"loss": loss, "detector": detector, "descriptor": descriptor}
        self.log_values("train", values, len(batch["planes"]))
        return loss

    def val_dataloader(self) -> DataLoader[tuple[int, int]]:
        """Indices (folder, pair) of the held-out views."""
        pairs = [(f, i) for f, views in enumerate(self._held_out) for i in range(len(views))]
        return DataLoader(pairs, batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: tuple[int, int], index: int) -> None:
        """Share of right matches of one pair of views."""
        folder, number = batch
        score = self.matching_score(*self._held_out[folder][number])
        self.log_values("val", {"score": score, f"score_{folder}": score}, 1)

    def matching_score(self, first: MatchedView, second: MatchedView) -> float:
        """Right mutual matches as a share of the keypoints that both views show."""
        _, target, partner = self._matched(first, second)
        shared = in_view(target, second.fov)
        error = np.linalg.norm(target - partner, axis=1)
        return float((shared & (error < _RIGHT_PX)).sum() / max(1, shared.sum()))

    def _matched(self, first: MatchedView, second: MatchedView) -> tuple[Points, Points, Points]:
        """Keypoints of the first view, their true and their matched places in the second.

        Each N×2 px; NaN where nothing is matched.
        """
        a, b = self.detect(first), self.detect(second)
        points, found = (k.points[0][k.valid[0]].double().cpu().numpy() for k in (a, b))
        mine, theirs = match_mutually(a, b).cpu().numpy().T
        partner = np.full_like(points, np.nan)
        partner[mine] = found[theirs]
        return points, project_points(between(first, second), points), partner

    @torch.inference_mode()
    def detect(self, view: MatchedView, count: int = 150) -> Keypoints:
        """Return the best keypoints of a view."""
        plane = torch.from_numpy(view.plane)[None, None].to(self.device)
        fov = torch.from_numpy(view.fov)[None].to(self.device)
        return self.net.detect(plane, Detection(max_keypoints=count, threshold=0.0), fov)

    def pictures(self) -> NDArray[np.uint8]:
        """Return a pair of held-out views of each folder with the matches of their keypoints."""
        rows = []
        for pairs in self._held_out:
            first, second = pairs[0]
            points, target, partner = self._matched(first, second)
            made = np.isfinite(partner[:, 0])
            right = np.linalg.norm(target - partner, axis=1)[made] < _RIGHT_PX
            rows.append(
                picture_matches(first.plane, second.plane, points[made], partner[made], right)
            )
        return np.vstack(rows)

    def configure_optimizers(self) -> Any:
        """AdamW along a cosine."""
        return self.cosine(self.net.parameters())

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the network."""
        sizes = {"descriptor_dim": self.config.descriptor_dim}
        return {"superpoint-retina": (self.net, "superpoint:SuperPoint", sizes)}


def initialise(network: nn.Module) -> None:
    """Weights that keep the size of activations through ReLUs (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def build(config: SuperPointConfig, data: Sequence[Path]) -> SuperPointTask:
    """Read eyes to train SuperPoint on.

    Args:
        config: settings.
        data: folders with ``images/train/ID.png`` and ``vessels/train/ID.png``.
    """
    return SuperPointTask(config, read_subjects([read_folder(root, "train") for root in data]))
