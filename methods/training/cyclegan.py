"""Train CycleGAN between colour fundus and OCTA, without pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from imedbench.methods import weights
from imedbench.methods.networks.cyclegan import Generator, PatchDiscriminator
from imedbench.methods.networks.losses.segmentation import dice_loss
from imedbench.methods.training.augment import pick, random_crop
from imedbench.methods.training.cyclegan_config import CycleGANConfig
from imedbench.methods.training.image_pool import ImagePool
from imedbench.methods.training.modalities import Source, read_modalities
from imedbench.methods.training.task import Listed, Sample, TrainingTask
from imedbench.methods.training.vessel_folders import hold_out


class CycleGANTask(TrainingTask[CycleGANConfig]):
    """Two generators against two discriminators.

    Args:
        config: settings.
        cf: colour fundus to train with, one source a folder.
        octa: OCTA to train with, one source a folder.
    """

    score_mode = "min"
    keeps_best = False  # a generator's best looks are at the end, whatever a number says

    def __init__(
        self, config: CycleGANConfig, cf: Sequence[Source], octa: Sequence[Source]
    ) -> None:
        super().__init__(config)
        self.automatic_optimization = False
        self._cf, self._held_cf = _hold_out(cf, config.hold_out)
        self._octa, self._held_octa = _hold_out(octa, config.hold_out)
        self.to_octa = Generator(config.width, config.blocks)
        self.to_cf = Generator(config.width, config.blocks)
        if config.start:
            path = Path(config.start)
            self.to_octa.load_state_dict(weights.load(path.name, path.parent).state_dict())
        self.judge_octa = PatchDiscriminator(config.judge_width)
        self.judge_cf = PatchDiscriminator(config.judge_width)
        self._octa_pool = ImagePool(config.pool, np.random.default_rng([config.seed, 1]))
        self._cf_pool = ImagePool(config.pool, np.random.default_rng([config.seed, 2]))
        self._segment = _frozen(config.vessel_weights) if config.vessels else None

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return an unpaired crop of either modality, 1×S×S in [-1, 1] each."""
        return {"cf": self._crop(self._cf, rng), "octa": self._crop(self._octa, rng)}

    def _crop(self, sources: Sequence[Source], rng: np.random.Generator) -> Tensor:
        source = pick(sources, rng)
        image = pick(source.images, rng)
        jitter = self.config.zoom_jitter
        zoom = (source.zoom / jitter, source.zoom * jitter)
        crop = random_crop(image, self.config.crop, zoom, rng, mirror=True)
        return torch.from_numpy(crop.plane)[None] * 2 - 1

    def training_step(self, batch: Sample, index: int) -> None:
        """One step of the generators, then one of the discriminators."""
        cf, octa = batch["cf"], batch["octa"]
        optimise_generators, optimise_judges = self.optimizers()  # type: ignore[attr-defined]
        self._judges_learn(False)
        fake_octa, fake_cf = self.to_octa(cf), self.to_cf(octa)
        losses = self._generator_losses(cf, octa, fake_cf, fake_octa)
        factors = self._factors()
        total = torch.stack([factors[name] * loss for name, loss in losses.items()]).sum()
        self._step(optimise_generators, total)
        self._judges_learn(True)
        judged = self._judge(octa, fake_octa, cf, fake_cf)
        self._step(optimise_judges, judged)
        self.log_values("train", {**losses, "judges": judged}, len(cf))

    def _generator_losses(
        self, cf: Tensor, octa: Tensor, fake_cf: Tensor, fake_octa: Tensor
    ) -> dict[str, Tensor]:
        """The losses that count, by name, before they are weighted."""
        fooled = miss(self.judge_octa(fake_octa), real=True)
        losses = {
            "gan": fooled + miss(self.judge_cf(fake_cf), real=True),
            "cycle": F.l1_loss(self.to_cf(fake_octa), cf) + F.l1_loss(self.to_octa(fake_cf), octa),
        }
        if self.config.identity:
            kept = F.l1_loss(self.to_cf(cf), cf)
            losses["identity"] = kept + F.l1_loss(self.to_octa(octa), octa)
        if self._segment is not None:
            before = self._vessels(cf, dark=True).detach()
            losses["vessels"] = dice_loss(self._vessels(fake_octa, dark=False), before)
        return losses

    def _factors(self) -> dict[str, float]:
        config = self.config
        return {
            "gan": 1.0,
            "cycle": config.cycle,
            "identity": config.cycle * config.identity,
            "vessels": config.vessels,
        }

    def _judge(self, octa: Tensor, fake_octa: Tensor, cf: Tensor, fake_cf: Tensor) -> Tensor:
        old_octa, old_cf = self._octa_pool.swap(fake_octa), self._cf_pool.swap(fake_cf)
        right = miss(self.judge_octa(octa), real=True) + miss(self.judge_cf(cf), real=True)
        wrong = miss(self.judge_octa(old_octa), real=False) + miss(
            self.judge_cf(old_cf), real=False
        )
        return (right + wrong) / 2

    def _judges_learn(self, on: bool) -> None:
        for judge in (self.judge_octa, self.judge_cf):
            judge.requires_grad_(on)

    def _step(self, optimiser: Any, loss: Tensor) -> None:
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()

    def _vessels(self, image: Tensor, *, dark: bool) -> Tensor:
        """Vessel probability of images in [-1, 1], through the frozen segmentation."""
        assert self._segment is not None
        bright = -image if dark else image
        mean = _wide_mean(bright)
        deviation = (_wide_mean((bright - mean).square()) + 1e-3).sqrt()
        plane = (0.5 + (bright - mean) / deviation / 6).clamp(0, 1)
        probability: Tensor = self._segment(plane).sigmoid()
        return probability

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the pools."""
        checkpoint["pools"] = [pool.state_dict() for pool in (self._octa_pool, self._cf_pool)]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the pools."""
        for pool, state in zip((self._octa_pool, self._cf_pool), checkpoint["pools"], strict=True):
            pool.load_state_dict(state)

    def on_train_epoch_end(self) -> None:
        """Lower the learning rates."""
        for schedule in cast(list[LRScheduler], self.lr_schedulers()):
            schedule.step()

    def val_dataloader(self) -> DataLoader[Tensor]:
        """One held-out crop of each colour fundus folder, the same at every validation."""
        rng = np.random.default_rng([self.config.seed, 3])
        crops = [self._crop([source], rng) for source in self._held_cf]
        return DataLoader(Listed(crops), batch_size=1)

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Say how much of a colour fundus picture survives the way there and back."""
        error = F.l1_loss(self.to_cf(self.to_octa(batch)), batch)
        self.log("val/score", error, batch_size=1, sync_dist=True)

    def pictures(self) -> NDArray[np.uint8]:
        """Held-out pictures: CF, fake OCTA, back; OCTA, fake CF, back."""
        rng = np.random.default_rng([self.config.seed, 4])
        rows = []
        for index in range(max(len(self._held_cf), len(self._held_octa))):
            cf = self._crop([self._held_cf[index % len(self._held_cf)]], rng)[None]
            octa = self._crop([self._held_octa[index % len(self._held_octa)]], rng)[None]
            fake_octa = self.to_octa(cf.to(self.device))
            fake_cf = self.to_cf(octa.to(self.device))
            there_and_back = self.to_cf(fake_octa), self.to_octa(fake_cf)
            tiles = [cf, fake_octa, there_and_back[0], octa, fake_cf, there_and_back[1]]
            rows.append(np.hstack([tile[0, 0].float().cpu().numpy() for tile in tiles]))
        return np.clip((np.vstack(rows) + 1) * 127.5, 0, 255).astype(np.uint8)

    def configure_optimizers(self) -> Any:
        """Adam for the generators and for the discriminators; rates fall over the second half."""
        config = self.config
        half = config.epochs / 2

        def factor(epoch: int) -> float:
            return min(1.0, (config.epochs - epoch) / half)

        groups = (
            chain(self.to_octa.parameters(), self.to_cf.parameters()),
            chain(self.judge_octa.parameters(), self.judge_cf.parameters()),
        )
        optimisers = [
            torch.optim.Adam(list(group), lr=config.learning_rate, betas=(0.5, 0.999))
            for group in groups
        ]
        return optimisers, [torch.optim.lr_scheduler.LambdaLR(o, factor) for o in optimisers]

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Both generators."""
        arguments = {"width": self.config.width, "blocks": self.config.blocks}
        return {
            "cf_to_octa": (self.to_octa, "cyclegan:Generator", arguments),
            "octa_to_cf": (self.to_cf, "cyclegan:Generator", arguments),
        }


def build(config: CycleGANConfig, data: Sequence[Path]) -> CycleGANTask:
    """Read unpaired images of both modalities to train CycleGAN on.

    Args:
        config: settings.
        data: pair sets (``pairs.csv``) or folders with ``images/train/ID.png``.
    """
    return CycleGANTask(config, *read_modalities(data, config.zooms))


def miss(verdict: Tensor, *, real: bool) -> Tensor:
    """Mean squared distance of a verdict from 1 (real) or 0 (fake), LSGAN (Mao et al. 2017)."""
    return F.mse_loss(verdict, torch.full_like(verdict, float(real)))


def _hold_out(sources: Sequence[Source], one_in: int) -> tuple[list[Source], list[Source]]:
    splits = [(source.zoom, hold_out(source.images, one_in)) for source in sources]
    return [Source(z, s[0]) for z, s in splits], [Source(z, s[1]) for z, s in splits]


def _wide_mean(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 41, 1, 20, count_include_pad=False)


def _frozen(name: str) -> nn.Module:
    return weights.load(name).requires_grad_(False)
