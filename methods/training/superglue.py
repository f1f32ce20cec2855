"""Train SuperGlue on the keypoints of a frozen SuperPoint in views whose motion is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks.keypoints import Keypoints, match_mutually
from imedbench.methods.networks.losses.keypoints import assignment_loss
from imedbench.methods.networks.superglue import (
    SuperGlue,
    lean_on_descriptors,
    mutual_matches,
    start_as_nearest_neighbours,
)
from imedbench.methods.training.keypoint_pairs import as_sample, both_keypoints, right_matches
from imedbench.methods.training.keypoint_views import KeypointViews
from imedbench.methods.training.match_picture import picture_matches
from imedbench.methods.training.superglue_config import SuperGlueTraining, for_folder
from imedbench.methods.training.superglue_views import find_views, load_detector
from imedbench.methods.training.task import Listed, Sample, TrainingTask

_SCORED = 0.6  # spread of the logarithm by which all scores of a view differ; a faint image has few
_LEAST = 8  # true matches, below which a drawn pair of views is drawn again


class SuperGlueTask(TrainingTask[SuperGlueTraining]):
    """Likelihood of the true assignment; scored by the share of right matches on held-out eyes.

    Args:
        config: settings.
        views: keypoints of views of training eyes and, two views a group, of held-out eyes.
        learnt_from: names of what the detector was trained on.
    """

    keeps_best = False  # the rate falls to nothing, and the last epochs differ by less than chance

    def __init__(
        self,
        config: SuperGlueTraining,
        views: tuple[KeypointViews, KeypointViews],
        learnt_from: tuple[str, ...] = (),
    ) -> None:
        super().__init__(config)
        self._learnt_from = learnt_from
        self._views, self._held_out = views
        self._sizes = config.sizes(self._views.descriptors.shape[-1])
        self.net = SuperGlue(self._sizes)
        self._begin(config.start)

    def _begin(self, start: str) -> None:
        """Take the weights that are named, else match as nearest neighbours do."""
        if not start:
            descriptors = self._views.descriptors
            every = max(1, len(descriptors) // 100)
            some = torch.from_numpy(np.array(descriptors[::every, 0])).float().flatten(0, 1)
            start_as_nearest_neighbours(self.net, some)
            return
        path = Path(start)
        trained = weights.load(path.name, path.parent)
        fitting = (self._sizes, replace(self._sizes, descriptor_weight=0.0))
        if not isinstance(trained, SuperGlue) or trained.config not in fitting:
            raise BadInput(f"{start}: holds weights of another network than the settings ask for")
        self.net.load_state_dict(trained.state_dict())
        if trained.config != self._sizes:
            lean_on_descriptors(self.net)

    def seen(self, data: Sequence[Path]) -> tuple[str, ...]:
        """Names of the data, and of what the detector has seen."""
        seen = [f"{root.name}/train" for root in self.photographed(data)]
        if self.config.transformer_weights:
            seen += weights.read_card(self.config.transformer_weights).trained_on
        return tuple(dict.fromkeys([*seen, *self._learnt_from]))

    def photographed(self, data: Sequence[Path]) -> list[Path]:
        """Leave out the folders of rendered eyes."""
        return [root for root in data if (root / "images").is_dir()]

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return some keypoints of two views of an eye, that share some if it can be had."""
        for _ in range(10):
            group = self._pick_group(rng)
            pair = rng.choice(self._views.points.shape[1], 2, replace=False)
            sample = self._sample(self._views, group, pair, rng)
            if sample["target"][:-1, :-1].sum() >= _LEAST:
                break
        return sample

    def _pick_group(self, rng: np.random.Generator) -> int:
        """A group of a data folder, by the folder's share."""
        shares = self.config.shares
        if not shares:
            return int(rng.integers(len(self._views)))
        counts = [for_folder(self.config.groups, i) for i in range(len(shares))]
        folder = int(rng.choice(len(shares), p=np.array(shares) / sum(shares)))
        return sum(counts[:folder]) + int(rng.integers(counts[folder]))

    def _sample(
        self,
        views: KeypointViews,
        group: int,
        pair: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> Sample:
        """Two views of a group, in parts, in frames of their own, with scores of any level."""
        found = [np.count_nonzero(views.scores[group, v]) for v in pair]  # the rest is padding
        chosen = [
            self._part(views.points[group, v, :count], rng)
            for v, count in zip(pair, found, strict=True)
        ]
        sample = as_sample(views, group, pair, chosen)
        middle, apart = self.config.size / 2, self.config.apart
        zoom = np.exp(rng.uniform(-0.4, 0.4, (2, 1, 1)))
        shift = rng.uniform(-apart, apart, (2, 1, 2)) * self.config.size
        moved = (sample["points"].numpy() - middle) * zoom + middle + shift
        sample["points"] = torch.from_numpy(moved.astype(np.float32))
        sample["scores"] *= torch.from_numpy(np.exp(rng.normal(0, _SCORED, (2, 1)))).float()
        return sample

    def _part(self, points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
        """Which keypoints are shown: `shown` at most, on one side of a line, -1 for none."""
        shown = min(self.config.shown, self.config.keypoints)
        angle = rng.uniform(0, 2 * np.pi)
        across = points @ np.array([np.cos(angle), np.sin(angle)])
        share = rng.uniform(self.config.least_part, 1) if rng.random() < 0.7 else 1.0
        there = np.argsort(across)[: max(_LEAST, round(share * len(points)))]
        kept = rng.permutation(there)[:shown]
        chosen = np.full(shown, -1)
        chosen[: len(kept)] = np.sort(kept)
        return chosen

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Loss of the true assignment of one batch of pairs."""
        loss = assignment_loss(self._assign(*both_keypoints(batch)), batch["target"])
        self.log_values("train", {"loss": loss}, len(batch["target"]))
        return loss

    def _assign(self, first: Keypoints, second: Keypoints) -> Tensor:
        size = (self.config.size, self.config.size)
        found: Tensor = self.net(first, second, size, size)
        return found

    def configure_gradient_clipping(self, *arguments: Any, **named: Any) -> None:
        """Keep single bad batches from undoing much: norm 1."""
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)

    def val_dataloader(self) -> DataLoader[Sample]:
        """The two views of each held-out group."""
        return DataLoader(Listed([self._pair(i) for i in range(len(self._held_out))]))

    def _pair(self, group: int) -> Sample:
        rng = np.random.default_rng([self.config.seed, 3, group])
        return self._sample(self._held_out, group, np.array([0, 1]), rng)

    def validation_step(self, batch: Sample, index: int) -> None:
        """Precision and recall of the matches of one pair, and those of nearest neighbours.

        The score is their harmonic mean.
        """
        result = self._matched(batch)
        possible = int(batch["target"][:, :-1, :-1].sum())
        first, second = both_keypoints(batch)
        mutual = match_mutually(first, second)  # valid ones come first
        nearest = right_matches(batch, mutual).sum()
        values = _rates("", int(result.right.sum()), len(result.right), possible)
        values |= _rates("nearest_", int(nearest), len(mutual), possible)
        self.log_values("val", values, 1)

    @torch.inference_mode()
    def _matched(self, batch: Sample) -> _Matched:
        """The matches of one pair, and which of them are right."""
        first, second = both_keypoints(batch)
        index = mutual_matches(self._assign(first, second)).index[0]
        start = torch.nonzero(index >= 0)[:, 0]
        right = right_matches(batch, torch.stack([start, index[start]], dim=1))
        return _Matched(
            first.points[0][start].cpu().numpy(),
            second.points[0][index[start]].cpu().numpy(),
            right.cpu().numpy(),
        )

    def pictures(self) -> NDArray[np.uint8]:
        """Return the matches of held-out pairs, without their images."""
        dark = np.zeros((self.config.size,) * 2, np.float32)
        rows = []
        for group in range(0, len(self._held_out), self.config.validation_pairs):
            sample = {
                name: value[None].to(self.device) for name, value in self._pair(group).items()
            }
            found = self._matched(sample)
            rows.append(picture_matches(dark, dark, found.start, found.end, found.right))
        return np.vstack(rows)

    def configure_optimizers(self) -> Any:
        """AdamW along a cosine."""
        return self.cosine(self.net.parameters())

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the matcher; its name says how wide and deep it is."""
        name = f"superglue-{self._sizes.width}x{self._sizes.layers}-retina"
        return {name: (self.net, "superglue:build", asdict(self._sizes))}


@dataclass(frozen=True, eq=False)
class _Matched:
    """Matches of two views: N×2 px each, and which are right."""

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    right: NDArray[np.bool_]


def _rates(prefix: str, right: int, made: int, possible: int) -> dict[str, float]:
    return {
        f"{prefix}score": 2 * right / max(1, made + possible),
        f"{prefix}precision": right / max(1, made),
        f"{prefix}recall": right / max(1, possible),
    }


def build(config: SuperGlueTraining, data: Sequence[Path]) -> SuperGlueTask:
    """Read eyes to train SuperGlue on, and find the keypoints of views of them.

    Args:
        config: settings.
        data: folders of rendered eyes or with ``images/train/ID.png`` and ``vessels/train/ID.png``.

    Raises:
        BadInput: when the SuperPoint weights are missing or of another network, or when shares do
            not fit the folders.
    """
    if len(config.shares) not in (0, len(data)):
        raise BadInput(f"shares: {len(config.shares)} given for {len(data)} data folders")
    detector, learnt_from = load_detector(config.superpoint)
    return SuperGlueTask(config, find_views(config, data, detector), learnt_from)
