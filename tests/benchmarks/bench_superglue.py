"""SuperPoint and SuperGlue on a 512×512 pair with 1,024 keypoints a side, on one CPU thread.

Ours beside `transformers`' at the same size and with the same weights, then the method that ships,
from two images in memory to the transform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.core.arrays import Pixels
from imedbench.core.types import Image
from imedbench.methods.networks.checkpoints import superglue_state, superpoint_state
from imedbench.methods.networks.keypoints import Detection
from imedbench.methods.networks.superglue import SuperGlue, SuperGlueConfig, mutual_matches
from imedbench.methods.networks.superpoint import SuperPoint
from imedbench.methods.superpoint_superglue import SuperPointSuperGlue

SIDE = 512
KEYPOINTS = 1024
ROUNDS = {"rounds": 5, "warmup_rounds": 2}

SMALL = SuperGlueConfig(width=128, encoder_sizes=(32, 64, 128), layers=5, sinkhorn_iterations=30)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Timings are of one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before)


def vessels_like(seed: int) -> Pixels:
    """Smooth noise with enough structure for 1,024 keypoints."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pair() -> torch.Tensor:
    """Two images as the networks read them, 2×1×512×512."""
    return torch.from_numpy(np.stack([vessels_like(0), vessels_like(1)])).float()[:, None] / 255


@pytest.fixture(scope="module")
def reference() -> Any:
    """The implementation of `transformers`, full size, random weights."""
    transformers = pytest.importorskip("transformers", reason="the extra [hub] is not installed")
    torch.manual_seed(0)
    detector = transformers.SuperPointConfig(max_keypoints=KEYPOINTS, keypoint_threshold=0.0)
    config = transformers.SuperGlueConfig(keypoint_detector_config=detector.to_dict())
    return transformers.SuperGlueForKeypointMatching(config).eval()


def ours(
    superpoint: SuperPoint, superglue: SuperGlue, pair: torch.Tensor
) -> Callable[[], torch.Tensor]:
    """Both networks on a pair; the index of each match."""

    def run() -> torch.Tensor:
        detection = Detection(max_keypoints=KEYPOINTS, threshold=0.0)
        first, second = (superpoint.detect(image[None], detection) for image in pair)
        size = (SIDE, SIDE)
        return mutual_matches(superglue(first, second, size, size), 0.0).index

    return run


@torch.inference_mode()
def test_transformers_float32(
    benchmark: BenchmarkFixture, reference: Any, pair: torch.Tensor
) -> None:
    pixels = pair.expand(2, 3, SIDE, SIDE)[None]
    found = benchmark.pedantic(lambda: reference(pixels), **ROUNDS)
    assert found.matches.shape[-1] == KEYPOINTS


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ours_full_size(
    benchmark: BenchmarkFixture, reference: Any, pair: torch.Tensor, dtype: torch.dtype
) -> None:
    superpoint, superglue = SuperPoint().eval(), SuperGlue(SuperGlueConfig()).eval()
    superpoint.load_state_dict(superpoint_state(reference.keypoint_detector.state_dict()))
    superglue.load_state_dict(superglue_state(reference.state_dict()))
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        found = benchmark.pedantic(ours(superpoint, superglue, pair), **ROUNDS)
    assert found.shape[-1] == KEYPOINTS


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ours_small(benchmark: BenchmarkFixture, pair: torch.Tensor, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    superpoint, superglue = SuperPoint().eval(), SuperGlue(SMALL).eval()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        found = benchmark.pedantic(ours(superpoint, superglue, pair), **ROUNDS)
    assert found.shape[-1] == KEYPOINTS


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_shipped_method_end_to_end(benchmark: BenchmarkFixture, precision: Any) -> None:
    method = SuperPointSuperGlue(keypoints=KEYPOINTS, threshold=0.0, precision=precision)
    method.prepare("cpu")
    fixed, moving = Image(vessels_like(0), "octa"), Image(vessels_like(1), "octa")
    answer = benchmark.pedantic(lambda: method.register(fixed, moving), **ROUNDS)
    assert answer.diagnostics.values["n_keypoints_fixed"] == KEYPOINTS
