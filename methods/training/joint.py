"""Train the coarse-to-fine joint network on views of aligned eyes, the motion known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks import polynomial_fit as poly
from imedbench.methods.networks.coarse_to_fine import SIZE, CoarseToFine, warp
from imedbench.methods.networks.losses.stages import end_point_error
from imedbench.methods.networks.unit_frame import grid_points
from imedbench.methods.training.aligned_eyes import (
    AlignedEye,
    Motion,
    distractor,
    draw_views,
    read_aligned,
)
from imedbench.methods.training.arbicon import overlay_row
from imedbench.methods.training.joint_config import JointConfig
from imedbench.methods.training.joint_losses import (
    PX_512,
    QUERIES,
    global_losses,
    inside,
    local_losses,
    vessel_losses,
)
from imedbench.methods.training.restyle_views import Chances, restyle
from imedbench.methods.training.task import Listed, Sample, TrainingTask
from imedbench.methods.training.vessel_folders import hold_out

TEACHER = "vessels"  # finds the vessels of images that come without a mask
_LOST = 25.0  # px at 512: from further away the local stage sees nothing of the truth
_SHOWN = 96.0  # px at 512: the worst a validation pair counts for


class JointTask(TrainingTask[JointConfig]):
    """Match cells and hit points stage by stage, segment, and lay vessels on vessels.

    Args:
        config: settings.
        folders: the eyes of each folder.
    """

    score_mode = "min"
    keeps_best = False  # the last epochs differ by less than the validation pairs can tell

    def __init__(self, config: JointConfig, folders: Sequence[Sequence[AlignedEye]]) -> None:
        super().__init__(config)
        self.net = CoarseToFine()
        self.net.use_bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        if config.start:
            path = Path(config.start)
            self.net.load_state_dict(weights.load(path.name, path.parent).state_dict())
        with torch.no_grad():
            self.net.locally.log_ridge[1] += config.ridge
        splits = [hold_out(eyes, config.hold_out) for eyes in folders]
        self._train, self._held_out = ([split[i] for split in splits] for i in (0, 1))
        shares = np.array(config.shares or [1.0] * len(folders))
        if len(shares) != len(folders):
            raise BadInput(f"shares: {len(shares)} given for {len(folders)} data folders")
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return a pair of one of the training eyes."""
        late = self.current_epoch >= self.config.narrow_epochs
        wide = late and bool(rng.random() < self.config.wide)
        return self.sample(self.pick_folder(rng), self.config.motion(wide=wide), rng)

    def pick_folder(self, rng: np.random.Generator) -> Sequence[AlignedEye]:
        """Return the training eyes of a folder, by its share."""
        return self._train[rng.choice(len(self._train), p=self._shares)]

    def sample(
        self, eyes: Sequence[AlignedEye], motion: Motion, rng: np.random.Generator
    ) -> Sample:
        """Return two views about 0 with their vessels, 1×S×S, and where grid points belong."""
        eye = eyes[int(rng.integers(len(eyes)))]
        pair = draw_views(eye, SIZE, motion, rng)
        other, chances = distractor(self._train[0], SIZE, rng), Chances()
        planes = {
            "fixed": restyle(pair.fixed, other, chances, rng),
            "moving": restyle(pair.moving, other[::-1], chances, rng),
            "fixed_vessels": pair.fixed_vessels,
            "moving_vessels": pair.moving_vessels,
        }
        sample = {name: torch.from_numpy(plane)[None] for name, plane in planes.items()}
        points = grid_points((QUERIES,) * 2)[0].double().numpy()
        sample["true"] = torch.from_numpy(pair.moving_from_fixed(points)).float()
        sample["flat"] = torch.tensor(pair.flat)
        return sample

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Return the overall loss of one batch."""
        losses = self.losses(batch)
        self.log_values("train", losses, len(batch["fixed"]))
        return losses["loss"]

    def losses(self, batch: Sample) -> dict[str, Tensor]:
        """Return every loss by name, and the weighted ``loss``; errors in px at 512."""
        config, count = self.config, len(batch["fixed"])
        both = self.net.encode(torch.cat([batch["fixed"], batch["moving"]]), vessels=True)
        fixed, moving = both[:count], both[count:]
        first = self.net.globally(fixed.coarse, moving.coarse)
        losses = global_losses(first, batch["true"])
        start = self._start(first.map.detach(), batch["true"])
        second = self.net.refine(fixed, warp(batch["moving"], start), start)
        losses |= local_losses(second, start, batch["true"], self.net.locally.radius)
        losses["bent"] = (second.map[:, 3:].norm(dim=(1, 2)) * batch["flat"]).mean() * PX_512
        losses |= vessel_losses(both, second, batch)
        losses["loss"] = (
            config.matching * (losses["global_match"] + 0.6 * losses["local_match"])
            + 0.02 * losses["global_px"]
            + 0.06 * losses["local_px"]
            + config.flatness * losses["bent"]
            + config.segmentation * (losses["dice"] + losses["cross_entropy"])
            + config.overlap * (losses["reverse_hinge"] + config.chamfer * losses["chamfer"])
        )
        return losses

    def _start(self, found: Tensor, true: Tensor) -> Tensor:
        """Where the local stage starts: mostly what the global one found, else near the truth.

        The noise moves by up to `_LOST` px, and as often by a half as by twenty: a second step
        starts where the first has left little.
        """
        points = grid_points((QUERIES,) * 2, found.device)[0]
        rows = poly.basis(points)[:, :3]
        best = F.pad(
            torch.linalg.lstsq(rows.expand(len(true), -1, -1), true).solution, (0, 0, 0, 3)
        )
        size = torch.exp(
            torch.empty(len(true), 1, 1, device=true.device).uniform_(np.log(0.5), np.log(_LOST))
        )
        near = best + F.pad(torch.randn_like(best[:, :3]), (0, 0, 0, 3)) * size / PX_512 / 2
        error = (poly.evaluate(found, points) - true).norm(dim=-1).mean(dim=1) * PX_512
        replaced = (error > _LOST) | (torch.rand_like(error) < self.config.noise)
        return torch.where(replaced[:, None, None], near, found)

    def configure_gradient_clipping(self, *arguments: Any, **named: Any) -> None:
        """Keep single bad batches from undoing much: norm 1."""
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Pairs of held-out eyes, every second with wide motion; always the same."""
        config = self.config
        pairs = [
            self.sample(
                self._held_out[i % len(self._held_out)],
                config.motion(wide=bool(i // len(self._held_out) % 2)),
                np.random.default_rng([config.seed, 7, i]),
            )
            for i in range(config.validation_pairs)
        ]
        return DataLoader(Listed(pairs), batch_size=config.batch_size)

    def validation_step(self, batch: Sample, index: int) -> None:
        """Error after each stage, px at 512; a lost pair counts `_SHOWN`."""
        points = grid_points((QUERIES,) * 2, self.device)[0]
        valid = inside(batch["true"])
        for name, map_ in zip(("global", "local", "score"), self.maps(batch), strict=True):
            error = end_point_error(poly.evaluate(map_, points), batch["true"], valid) * PX_512
            values = {name: error.clamp(max=_SHOWN).mean(), f"{name}_lost": error > _LOST / 2}
            self.log_values("val", {k: v.float().mean() for k, v in values.items()}, len(error))

    def maps(self, batch: Sample) -> list[Tensor]:
        """Return the map after the global stage and after one and two local steps."""
        both = self.net.encode(torch.cat([batch["fixed"], batch["moving"]]))
        fixed, moving = both[: len(batch["fixed"])], both[len(batch["fixed"]) :]
        found = [self.net.globally(fixed.coarse, moving.coarse).map]
        for _ in range(2):
            shown = warp(batch["moving"], found[-1])
            found.append(self.net.refine(fixed, shown, found[-1]).map)
        return found

    def seen(self, data: Sequence[Path]) -> tuple[str, ...]:
        """Names of the real images that a training sees, what its transformer saw included."""
        seen = [f"{root.name}/train" for root in self.photographed(data)]
        if self.config.transformer_weights:
            seen += weights.read_card(self.config.transformer_weights).trained_on
        return tuple(dict.fromkeys(seen))

    def photographed(self, data: Sequence[Path]) -> list[Path]:
        """Leave out the folders of rendered eyes."""
        return [root for root in data if (root / "images").is_dir()]

    def pictures(self) -> NDArray[np.uint8]:
        """Return a held-out pair of each folder, overlaid before and after."""
        rows = []
        for index, eyes in enumerate(self._held_out):
            rng = np.random.default_rng([self.config.seed, 8, index])
            sample = self.sample(eyes, self.config.motion(wide=True), rng)
            pair = {name: value[None].to(self.device) for name, value in sample.items()}
            moved = warp(pair["moving"], self.maps(pair)[-1])
            shown = (pair["moving"], pair["fixed"], moved)
            rows.append(overlay_row(*(plane[0, 0] + 0.5 for plane in shown)))
        return np.vstack(rows)

    def configure_optimizers(self) -> Any:
        """AdamW along a cosine."""
        return self.cosine(self.net.parameters())

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the network."""
        return {"joint": (self.net, "coarse_to_fine:CoarseToFine", {})}


def build(config: JointConfig, data: Sequence[Path]) -> JointTask:
    """Read eyes to train the coarse-to-fine joint network on.

    Args:
        config: settings.
        data: folders of rendered eyes, which come first, or with ``images/train/ID.png`` and
            ``vessels/train/ID.png``.
    """
    return JointTask(config, read_folders(config, data))


def read_folders(config: JointConfig, data: Sequence[Path]) -> list[list[AlignedEye]]:
    """Return the eyes of every data folder.

    Raises:
        BadInput: when zooms do not fit the folders, or see `read_aligned`.
    """
    zooms = config.zooms
    if len(zooms) not in (1, len(data)):
        raise BadInput(f"zooms: {len(zooms)} given for {len(data)} data folders; give one for each")
    return [
        read_aligned(root, zooms[i % len(zooms)], config.transformer_weights, TEACHER)
        for i, root in enumerate(data)
    ]
