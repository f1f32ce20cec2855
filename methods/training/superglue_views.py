"""The views that a training of SuperGlue sees: found once by a frozen SuperPoint, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks.superpoint import SuperPoint
from imedbench.methods.training.aligned_eyes import AlignedEye, read_aligned
from imedbench.methods.training.keypoint_views import KeypointViews
from imedbench.methods.training.superglue_config import SuperGlueTraining, for_folder
from imedbench.methods.training.vessel_folders import hold_out

_TEACHER = "vessels"
_LONGEST = 1024  # px: the grain of a photograph is matched too


def find_views(
    config: SuperGlueTraining, data: Sequence[Path], detector: SuperPoint
) -> tuple[KeypointViews, KeypointViews]:
    """Return views of training eyes and of held-out eyes, from the folder that keeps them if there.

    Args:
        config: settings.
        data: folders of rendered eyes or with ``images/train/ID.png`` and ``vessels/train/ID.png``.
        detector: finds their keypoints.
    """
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


def load_detector(name: str) -> tuple[SuperPoint, tuple[str, ...]]:
    """Return the SuperPoint whose keypoints are matched, and what it was trained on.

    Args:
        name: of shipped weights, or the path of a file without its ending.

    Raises:
        BadInput: when there are none, or they are of another network.
    """
    path = Path(name)
    folder = path.parent if path.parent != Path() else weights.FOLDER
    network = weights.load(path.name, folder)
    if not isinstance(network, SuperPoint):
        raise BadInput(f"{name}: holds no SuperPoint weights; name a file trained by superpoint")
    network.eval().requires_grad_(False)
    return network, weights.read_card(path.name, folder).trained_on
