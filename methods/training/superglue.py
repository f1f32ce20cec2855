"""Train SuperGlue on the keypoints of a frozen SuperPoint in views whose motion is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kornia.geometry.linalg import transform_points
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks.keypoints import Detection, Keypoints
from imedbench.methods.networks.losses.keypoints import assignment_loss, true_assignment
from imedbench.methods.networks.superglue import (
    SuperGlue,
    SuperGlueConfig,
    mutual_matches,
    start_as_nearest_neighbours,
)
from imedbench.methods.networks.superpoint import SuperPoint
from imedbench.methods.training.match_picture import picture_matches
from imedbench.methods.training.matched_views import (
    MatchedView,
    Style,
    Subject,
    ViewMotion,
    between,
    read_subjects,
    take_views,
)
from imedbench.methods.training.superglue_config import SuperGlueTraining
from imedbench.methods.training.task import Sample, TrainingTask
from imedbench.methods.training.vessel_folders import hold_out, read_folder

_NEAR_PX = 3.0
_FAR_PX = 6.0


class SuperGlueTask(TrainingTask[SuperGlueTraining]):
    """Likelihood of the true assignment; scored by the share of right matches on held-out eyes.

    Args:
        config: settings.
        detector: a trained SuperPoint; it stays as it is.
        folders: subjects of each folder; each folder gives the same share of views.
        learnt_from: names of what the detector was trained on.
    """

    def __init__(
        self,
        config: SuperGlueTraining,
        detector: SuperPoint,
        folders: Sequence[Sequence[Subject]],
        learnt_from: tuple[str, ...] = (),
    ) -> None:
        super().__init__(config)
        self._learnt_from = learnt_from
        splits = [hold_out(subjects, config.hold_out) for subjects in folders]
        self._train = [train for train, _ in splits]
        self._motion = ViewMotion(rotation=config.rotation)
        self._style = Style(drawn=config.drawn)
        self._sizes = SuperGlueConfig(
            descriptor_dim=detector.descriptor_dim,
            width=config.width,
            encoder_sizes=config.encoder_sizes,
            layers=config.layers,
            heads=config.heads,
            sinkhorn_iterations=config.sinkhorn_iterations,
        )
        self.net = SuperGlue(self._sizes)
        start_as_nearest_neighbours(self.net)
        self.detector = detector.eval().requires_grad_(False)
        rng = np.random.default_rng([config.seed, 1])
        self._held_out = [
            [self._views(subjects, rng) for _ in range(config.validation_pairs)]
            for _, subjects in splits
        ]

    def train(self, mode: bool = True) -> SuperGlueTask:
        """Train or evaluate the matcher; the detector has nothing to learn."""
        super().train(mode)
        self.detector.eval()
        return self

    def seen(self, data: Sequence[Path]) -> tuple[str, ...]:
        """Names of the data, and of what the detector has seen."""
        return tuple(dict.fromkeys([*super().seen(data), *self._learnt_from]))

    def _views(
        self, subjects: Sequence[Subject], rng: np.random.Generator
    ) -> tuple[MatchedView, MatchedView]:
        subject = subjects[int(rng.integers(len(subjects)))]
        return take_views(subject, self.config.crop, self._motion, self._style, rng)

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return a pair of views and the motion between them."""
        return as_sample(*self._views(self._train[rng.integers(len(self._train))], rng))

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Loss of the true assignment of one batch of pairs."""
        first, second = self._keypoints(batch)
        found = self._assign(first, second)
        target = true_assignment(
            transform_points(batch["second_from_first"], first.points),
            second.points,
            _NEAR_PX,
            _FAR_PX,
        )
        loss = assignment_loss(found, target)
        self.log_values("train", {"loss": loss}, len(batch["planes"]))
        return loss

    @torch.no_grad()
    def _keypoints(self, batch: Sample) -> tuple[Keypoints, Keypoints]:
        """The best keypoints of both views of each pair."""
        detection = Detection(max_keypoints=self.config.keypoints, threshold=0.0)
        planes, fov = batch["planes"].flatten(0, 1)[:, None], batch["fov"].flatten(0, 1)
        found = self.detector.detect(planes, detection, fov)
        return found[0::2], found[1::2]

    def _assign(self, first: Keypoints, second: Keypoints) -> Tensor:
        size = (self.config.crop, self.config.crop)
        found: Tensor = self.net(first, second, size, size)
        return found

    def val_dataloader(self) -> DataLoader[tuple[int, int]]:
        """Indices (folder, pair) of the held-out views."""
        pairs = [(f, i) for f, views in enumerate(self._held_out) for i in range(len(views))]
        return DataLoader(pairs, batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: tuple[int, int], index: int) -> None:
        """Precision and recall of the matches of one pair; the score is their harmonic mean."""
        folder, number = batch
        result = self._matched(*self._held_out[folder][number])
        hits, made = int(result.right.sum()), len(result.right)
        values = {
            "score": 2 * hits / max(1, made + result.possible),
            "precision": hits / max(1, made),
            "recall": hits / max(1, result.possible),
        }
        self.log_values("val", {**values, f"score_{folder}": values["score"]}, 1)

    @torch.inference_mode()
    def _matched(self, first_view: MatchedView, second_view: MatchedView) -> _Matched:
        """The matches of two views, and which of them are right."""
        views = as_sample(first_view, second_view)
        batch = {name: value[None].to(self.device) for name, value in views.items()}
        first, second = self._keypoints(batch)
        index = mutual_matches(self._assign(first, second)).index
        truth = transform_points(batch["second_from_first"], first.points)
        target = true_assignment(truth, second.points, _NEAR_PX, _FAR_PX)
        made = index[0] >= 0
        start, end = first.points[0][made], second.points[0][index[0][made]]
        right = (truth[0][made] - end).norm(dim=1) < _NEAR_PX
        return _Matched(
            start.cpu().numpy(),
            end.cpu().numpy(),
            right.cpu().numpy(),
            int(target[:, :-1, :-1].sum()),
        )

    def pictures(self) -> NDArray[np.uint8]:
        """Return a pair of held-out views of each folder with their matches."""
        rows = []
        for pairs in self._held_out:
            first, second = pairs[0]
            found = self._matched(first, second)
            rows.append(
                picture_matches(first.plane, second.plane, found.start, found.end, found.right)
            )
        return np.vstack(rows)

    def configure_optimizers(self) -> Any:
        """AdamW along a cosine."""
        return self.cosine(self.net.parameters())

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the matcher; its name says how wide and deep it is."""
        config = self.config
        name = f"superglue-{config.width}x{config.layers}-retina"
        return {name: (self.net, "superglue:build", asdict(self._sizes))}


@dataclass(frozen=True, eq=False)
class _Matched:
    """Matches of two views: N×2 px each, which are right, and how many there could be."""

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    right: NDArray[np.bool_]
    possible: int


def as_sample(first: MatchedView, second: MatchedView) -> Sample:
    """Return two views as tensors: planes 2×S×S, fov 2×S×S, second_from_first 3×3."""
    return {
        "planes": torch.from_numpy(np.stack([first.plane, second.plane])),
        "fov": torch.from_numpy(np.stack([first.fov, second.fov])),
        "second_from_first": torch.from_numpy(between(first, second).astype(np.float32)),
    }


def build(config: SuperGlueTraining, data: Sequence[Path]) -> SuperGlueTask:
    """Read eyes to train SuperGlue on.

    Args:
        config: settings.
        data: folders with ``images/train/ID.png`` and ``vessels/train/ID.png``.

    Raises:
        BadInput: when the SuperPoint weights are missing or of another network.
    """
    detector, learnt_from = _detector(config.superpoint)
    folders = read_subjects([read_folder(root, "train") for root in data])
    return SuperGlueTask(config, detector, folders, learnt_from)


def _detector(name: str) -> tuple[SuperPoint, tuple[str, ...]]:
    """The SuperPoint whose keypoints are matched, and what it was trained on."""
    path = Path(name)
    folder = path.parent if path.parent != Path() else weights.FOLDER
    network = weights.load(path.name, folder)
    if not isinstance(network, SuperPoint):
        raise BadInput(f"{name}: holds no SuperPoint weights; name a file trained by superpoint")
    return network, weights.read_card(path.name, folder).trained_on
