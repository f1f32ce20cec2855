"""Train SuperGlue on the keypoints of a frozen SuperPoint in views whose motion is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from imedbench.methods.networks.losses.keypoints import assignment_loss, true_assignment
from imedbench.methods.networks.superglue import (
    SuperGlue,
    mutual_matches,
    start_as_nearest_neighbours,
)
from imedbench.methods.networks.superpoint import SuperPoint
from imedbench.methods.training.aligned_eyes import AlignedEye, read_aligned
from imedbench.methods.training.keypoint_views import KeypointViews
from imedbench.methods.training.match_picture import picture_matches
from imedbench.methods.training.superglue_config import SuperGlueTraining, for_folder
from imedbench.methods.training.task import Listed, Sample, TrainingTask
from imedbench.methods.training.vessel_folders import hold_out

_TEACHER = "vessels"
_LONGEST = 1024  # px: the grain of a photograph is matched too
_NEAR_PX = 3.0
_FAR_PX = 6.0
_SCORED = 0.6  # spread of the logarithm by which all scores of a view differ; a faint image has few
_NOWHERE = (1e6, -1e6)  # px, where the keypoints of either view lie that are none
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
        descriptors = self._views.descriptors
        self._sizes = config.sizes(descriptors.shape[-1])
        self.net = SuperGlue(self._sizes)
        every = max(1, len(descriptors) // 100)
        some = torch.from_numpy(np.array(descriptors[::every, 0])).float().flatten(0, 1)
        start_as_nearest_neighbours(self.net, some)

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
        chosen = [self._part(views.points[group, v], rng) for v in pair]
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
        shown = min(self.config.shown, len(points))
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


def as_sample(
    views: KeypointViews, group: int, pair: NDArray[np.int64], chosen: Sequence[NDArray[np.int64]]
) -> Sample:
    """Return keypoints of two views of a group, 2×K each, with the assignment that is true.

    Args:
        views: of eyes.
        group: which eye.
        pair: which of its views.
        chosen: which keypoints of either, K numbers, -1 for none.
    """
    names = ("points", "places", "scores", "descriptors")
    sample = {name: _chosen(getattr(views, name), group, pair, chosen) for name in names}
    sample["valid"] = torch.from_numpy(np.stack(chosen) >= 0)
    scale = float(np.sqrt(np.prod(views.scale[group, pair])))  # px of the views for one of the eye
    sample["places"] *= scale
    for places, valid, nowhere in zip(sample["places"], sample["valid"], _NOWHERE, strict=True):
        places[~valid] = nowhere
    first, second = sample["places"][:, None]
    target = true_assignment(first, second, _NEAR_PX, _FAR_PX)[0]
    target[:-1][~sample["valid"][0]] = False
    target[:, :-1][:, ~sample["valid"][1]] = False
    sample["target"] = target
    return sample


def _chosen(
    values: NDArray[np.floating],
    group: int,
    pair: NDArray[np.int64],
    chosen: Sequence[NDArray[np.int64]],
) -> Tensor:
    parts = [np.asarray(values[group, v], np.float32)[k] for v, k in zip(pair, chosen, strict=True)]
    return torch.from_numpy(np.stack(parts))


def both_keypoints(batch: Sample) -> tuple[Keypoints, Keypoints]:
    """Return the keypoints of the first and of the second views of a batch."""
    names = ("points", "scores", "descriptors", "valid")
    first, second = (Keypoints(*(batch[name][:, i] for name in names)) for i in (0, 1))
    return first, second


def right_matches(batch: Sample, matches: Tensor) -> Tensor:
    """Tell which matches of one pair, K×2 indices, join the same place, bool K."""
    first, second = batch["places"][0]
    return (first[matches[:, 0]] - second[matches[:, 1]]).norm(dim=1) < _NEAR_PX


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
    detector, learnt_from = _detector(config.superpoint)
    return SuperGlueTask(config, _views(config, data, detector), learnt_from)


def _views(
    config: SuperGlueTraining, data: Sequence[Path], detector: SuperPoint
) -> tuple[KeypointViews, KeypointViews]:
    """Views of training eyes and of held-out eyes, from the folder that keeps them if there."""
    kept = Path(config.views_folder)
    if config.views_folder and (kept / "held_out" / "descriptors.npy").is_file():
        return KeypointViews.load(kept / "train"), KeypointViews.load(kept / "held_out")
    folders = [
        read_aligned(
            root, for_folder(config.zooms, i), config.transformer_weights, _TEACHER, _LONGEST
        )
        for i, root in enumerate(data)
    ]
    splits: list[tuple[list[AlignedEye], list[AlignedEye]]] = [
        hold_out(eyes, config.hold_out) for eyes in folders
    ]
    groups = [for_folder(config.groups, i) for i in range(len(data))]
    seed = config.seed
    found = (
        KeypointViews.find(
            detector, [s[0] for s in splits], groups, config.plan(config.views), (seed, 1)
        ),
        KeypointViews.find(
            detector,
            [s[1] for s in splits],
            [config.validation_pairs] * len(data),
            config.plan(2),
            (seed, 2),
        ),
    )
    if config.views_folder:
        for views, name in zip(found, ("train", "held_out"), strict=True):
            views.save(kept / name)
    return found


def _detector(name: str) -> tuple[SuperPoint, tuple[str, ...]]:
    """The SuperPoint whose keypoints are matched, and what it was trained on."""
    path = Path(name)
    folder = path.parent if path.parent != Path() else weights.FOLDER
    network = weights.load(path.name, folder)
    if not isinstance(network, SuperPoint):
        raise BadInput(f"{name}: holds no SuperPoint weights; name a file trained by superpoint")
    network.eval().requires_grad_(False)
    return network, weights.read_card(path.name, folder).trained_on
