"""SuperPoint against independent implementations and closed forms."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from imedbench.methods.networks.checkpoints import superpoint_state
from imedbench.methods.networks.keypoints import (
    Detection,
    pick_keypoints,
    sample_descriptors,
    score_map,
    suppress_neighbours,
)
from imedbench.methods.networks.superpoint import SuperPoint

TOLERANCE = 1e-4


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def by_position(points: torch.Tensor) -> torch.Tensor:
    """Order of the points from top left to bottom right."""
    return (points[:, 1] * 10_000 + points[:, 0]).argsort()


@pytest.fixture(scope="module")
def reference():
    """`transformers`' SuperPoint with random weights that find a few hundred keypoints."""
    transformers = pytest.importorskip("transformers", reason="the extra [hub] is not installed")
    torch.manual_seed(3)
    model = transformers.SuperPointForKeypointDetection(transformers.SuperPointConfig())
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.normal_(module.bias, std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def network(reference):
    ours = SuperPoint().eval()
    ours.load_state_dict(superpoint_state(reference.state_dict()))
    return ours


@torch.inference_mode()
@pytest.mark.parametrize("size", [(96, 128), (101, 93)])
def test_keypoints_and_descriptors_equal_those_of_transformers(network, reference, size):
    image = noise(1, 1, *size)
    theirs = reference(image.repeat(1, 3, 1, 1))
    ours = network.detect(image)
    scale = torch.tensor([size[1], size[0]])
    points = theirs.keypoints[0] * scale
    # Unlike the authors' code, theirs clears the border at the left and at the top only.
    inner = (points.round() < scale // 8 * 8 - 4).all(1)
    b = by_position(points.round())
    b = b[inner[b]]
    a = by_position(ours.points[0])
    assert len(b) > 50
    torch.testing.assert_close(ours.points[0][a], points[b], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(ours.scores[0][a], theirs.scores[0][b], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(
        ours.descriptors[0][a], theirs.descriptors[0][b], atol=TOLERANCE, rtol=0
    )


@torch.inference_mode()
def test_batch_gives_what_single_images_give(network):
    images = noise(2, 1, 64, 72, seed=1)
    images[1] *= 0.5
    both = network.detect(images, Detection(max_keypoints=40))
    for i in range(2):
        one = network.detect(images[i : i + 1], Detection(max_keypoints=40))
        torch.testing.assert_close(both[i : i + 1].points, one.points)
        torch.testing.assert_close(both[i : i + 1].descriptors, one.descriptors, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_published_weights_give_the_keypoints_of_the_package_that_ships_them(monkeypatch):
    found = importlib.util.find_spec("eyeliner")
    if found is None or found.origin is None:
        pytest.skip("the package `eyeliner`, which ships superpoint_v1.pth, is not installed")
    root = Path(found.origin).parent
    state = torch.load(root / "weights" / "superpoint_v1.pth", weights_only=True)
    # Importing the package itself downloads networks that are not needed here.
    for name, folder in (("eyeliner", root), ("eyeliner.lightglue", root / "lightglue")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda url: state)
    theirs_module = importlib.import_module("eyeliner.lightglue.superpoint")
    theirs = theirs_module.SuperPoint(max_num_keypoints=200).eval()
    ours = SuperPoint().eval()
    ours.load_state_dict(superpoint_state(state))
    image = torch.nn.functional.interpolate(noise(1, 1, 30, 40, seed=5), (240, 320), mode="bicubic")
    image = image.clamp(0, 1)
    expected = theirs({"image": image})
    found = ours.detect(image, Detection(max_keypoints=200, threshold=0.0005))
    a, b = by_position(found.points[0]), by_position(expected["keypoints"][0])
    assert len(a) == 200
    torch.testing.assert_close(found.points[0][a], expected["keypoints"][0][b])
    torch.testing.assert_close(
        found.scores[0][a], expected["keypoint_scores"][0][b], atol=TOLERANCE, rtol=0
    )
    torch.testing.assert_close(
        found.descriptors[0][a], expected["descriptors"][0][b], atol=TOLERANCE, rtol=0
    )


@pytest.mark.parametrize("size", [(64, 40), (83, 57), (33, 32)])
def test_bands_change_nothing(size):
    torch.manual_seed(0)
    network = SuperPoint(descriptor_dim=16).eval()
    image = noise(1, 1, *size)
    whole = network(image)
    with torch.no_grad():
        banded = network(image)
    torch.testing.assert_close(banded.logits, whole.logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(banded.descriptors, whole.descriptors, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("radius", [0, 1, 2, 4, 7])
def test_local_maxima_are_those_of_a_max_pool(radius):
    scores = noise(2, 21, 34, seed=6)
    pooled = torch.nn.functional.max_pool2d(scores, 2 * radius + 1, 1, radius)
    kept = suppress_neighbours(scores, radius)
    assert torch.equal(kept[scores == pooled], scores[scores == pooled])


def test_score_map_puts_each_channel_at_its_pixel():
    logits = torch.full((1, 65, 2, 3), -20.0)
    logits[0, 64] = 0.0
    logits[0, 8 * 5 + 2, 1, 2] = 20.0  # row 5, column 2 of the cell in row 1, column 2
    scores = score_map(logits)
    assert scores.shape == (1, 16, 24)
    assert tuple(int(i) for i in np.argwhere(scores[0].numpy() > 0.5)[0]) == (13, 18)


def test_first_round_of_suppression_is_scipys_maximum_filter():
    scores = noise(1, 40, 50, seed=2)
    kept = suppress_neighbours(scores, 3)[0].numpy()
    plane = scores[0].numpy()
    maxima = plane == ndimage.maximum_filter(plane, size=7, mode="constant")
    assert (kept[maxima] == plane[maxima]).all()


def test_suppressed_keypoints_keep_their_distance():
    scores = noise(2, 60, 60, seed=4)
    points, _, valid = pick_keypoints(scores, Detection(threshold=0.0, nms_radius=4))
    for i in range(2):
        xy = points[i][valid[i]]
        apart = (xy[:, None] - xy[None]).abs().amax(-1) + 99 * torch.eye(len(xy))
        assert len(xy) > 20
        assert apart.min() > 4


def test_keypoints_are_the_best_inside_the_border_in_falling_order():
    scores = torch.zeros(1, 32, 32)
    for value, (x, y) in [(0.9, (2, 16)), (0.8, (10, 12)), (0.7, (20, 25)), (0.6, (25, 9))]:
        scores[0, y, x] = value
    points, values, valid = pick_keypoints(scores, Detection(max_keypoints=2))
    assert points[0].tolist() == [[10, 12], [20, 25]]
    assert valid.all()
    torch.testing.assert_close(values[0], torch.tensor([0.8, 0.7]))


def test_too_few_keypoints_are_padded_and_marked():
    scores = torch.zeros(2, 32, 32)
    scores[0, 9, 9] = 0.5
    _, _, valid = pick_keypoints(scores, Detection(max_keypoints=3))
    assert valid.tolist() == [[True, False, False], [False, False, False]]


def test_mask_keeps_keypoints_out():
    torch.manual_seed(0)
    network = SuperPoint().eval()
    mask = torch.zeros(1, 48, 64, dtype=torch.bool)
    mask[:, :, 32:] = True
    with torch.inference_mode():
        found = network.detect(noise(1, 1, 48, 64), Detection(threshold=0.0), mask)
    assert found.valid.any()
    assert found.points[found.valid][:, 0].min() >= 32


def test_descriptors_at_the_first_cell_centre_are_that_cells():
    dense = torch.nn.functional.normalize(torch.randn(1, 8, 4, 5), dim=1)
    found = sample_descriptors(dense, torch.tensor([[[3.5, 3.5]]]))
    torch.testing.assert_close(found[0, 0], dense[0, :, 0, 0])


def test_gradients_reach_every_weight():
    network = SuperPoint(descriptor_dim=16)
    dense = network(noise(1, 1, 32, 32))
    (dense.logits.square().mean() + dense.descriptors[:, :3].mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
