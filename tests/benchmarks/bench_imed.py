"""The vessel method on one CPU thread, end to end and by stage, on a drawn eye of 512 px."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.core.stages import collect_stages
from imedbench.core.types import ImagePair
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.methods.imed.lines import Lines, build_targets, trace_lines
from imedbench.methods.imed.method import Imed, ImedFast
from imedbench.methods.imed.pairing import find_pairs
from imedbench.methods.imed.refine import HOMOGRAPHY, Fit, converge
from imedbench.methods.imed.search import SearchRange, search
from imedbench.methods.vessel_maps import Segmenter, oriented_map
from imedbench.methods.working_images import working_image


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.fixture(scope="module")
def pair() -> ImagePair:
    return make_pair(3, "imed", size=512)


@pytest.fixture(scope="module")
def lines(pair: ImagePair) -> Lines:
    view = working_image(pair.fixed, 1.0)
    return trace_lines(oriented_map(view.bright, view.fov), 4500)


@pytest.mark.parametrize("kind", [Imed, ImedFast])
@pytest.mark.parametrize("segmentation", ["unet", "oriented"])
def test_end_to_end(
    benchmark: BenchmarkFixture, pair: ImagePair, kind: type[Imed], segmentation: str
) -> None:
    method = kind(segmentation=segmentation, rotation="narrow")  # type: ignore[arg-type]
    method.prepare("cpu")
    benchmark.pedantic(method.register, (pair.fixed, pair.moving), warmup_rounds=2, rounds=10)
    with collect_stages() as times:
        method.register(pair.fixed, pair.moving)
    benchmark.extra_info["stages_ms"] = times.milliseconds


@pytest.mark.parametrize("degrees", [40.0, 180.0])
def test_search(benchmark: BenchmarkFixture, lines: Lines, degrees: float) -> None:
    benchmark.pedantic(search, (lines, lines, SearchRange(max_rotation=degrees), 48), rounds=5)


def test_vessel_map(benchmark: BenchmarkFixture, pair: ImagePair) -> None:
    view = working_image(pair.fixed, 1.0)
    benchmark(oriented_map, view.bright, view.fov)


def test_pairing_of_sixteen_poses(benchmark: BenchmarkFixture, lines: Lines) -> None:
    targets = build_targets(lines)
    benchmark(find_pairs, targets, targets, np.tile(np.eye(3), (16, 1, 1)), 500)


def test_converging_from_half_a_pixel(benchmark: BenchmarkFixture, lines: Lines) -> None:
    targets = build_targets(lines)
    start = Fit.of(np.array([[[1, 0, 0.5], [0, 1, -0.5], [0, 0, 1]]]), lines.shape)
    benchmark.pedantic(converge, (targets, targets, start, HOMOGRAPHY), rounds=10)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_network(benchmark: BenchmarkFixture, pair: ImagePair, runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="needs the extra `fast` (openvino)")
    segment = Segmenter("unet", network=Imed.network, runtime=runtime)  # type: ignore[arg-type]
    benchmark.pedantic(segment, (working_image(pair.fixed, 1.0),), rounds=10)
