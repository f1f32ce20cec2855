"""The SuperPoint methods as plugins: geometry, options, answers. Weights are random throughout."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from imedbench.core.errors import BadInput
from imedbench.core.options import option_types
from imedbench.core.registry import DATASETS, METHODS
from imedbench.core.types import Image, Method
from imedbench.methods import superpoint_mnn, superpoint_superglue, weight_sources, weights
from imedbench.methods.licences import MAGIC_LEAP
from imedbench.methods.networks.superglue import (
    PointMatches,
    SuperGlue,
    SuperGlueConfig,
    mutual_matches,
)
from imedbench.methods.networks.superglue import start_as_nearest_neighbours as start
from imedbench.methods.networks.superpoint import SuperPoint
from imedbench.methods.superpoint_pipeline import arithmetic, shown

SHIFT = (16, 24)  # px; whole cells, which even untrained descriptors survive


def scene(width: int = 420, height: int = 380) -> np.ndarray:
    """Blotches without repetition."""
    rng = np.random.default_rng(0)
    blotches = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 4)
    return np.clip(128 + 500 * blotches, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def points_file(tmp_path_factory):
    """An untrained SuperPoint as a .pth file."""
    torch.manual_seed(1)
    network = SuperPoint()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    path = tmp_path_factory.mktemp("weights") / "points.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def glue_file(points_file):
    """A SuperGlue that knows descriptors only, with its card."""
    sizes = {"width": 64, "encoder_sizes": [16], "layers": 1, "sinkhorn_iterations": 20}
    network = SuperGlue(SuperGlueConfig(**{**sizes, "encoder_sizes": (16,)}))
    torch.manual_seed(2)
    start(network, sharpness=200.0)
    path = points_file.with_name("glue.pth")
    torch.save(network.state_dict(), path)
    card = {"licence": "MIT", "trained_on": ["x/train"], "arguments": sizes}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def build(name: str, points_file, glue_file, **options) -> Method:
    options = {"weights": str(points_file), "threshold": 0.0, "keypoints": 300, **options}
    if name == "superpoint-superglue":
        options["glue_weights"] = str(glue_file)
    kinds = {
        "superpoint-mnn": superpoint_mnn.SuperPointMutual,
        "superpoint-superglue": superpoint_superglue.SuperPointSuperGlue,
    }
    method = kinds[name](**options)
    method.prepare("cpu")
    return method


NAMES = ("superpoint-mnn", "superpoint-superglue")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("look", ["grey", "normalised"])
def test_shift_is_found(name, look, points_file, glue_file):
    picture = scene()
    dx, dy = SHIFT
    fixed = Image(np.ascontiguousarray(picture[: 380 - dy, : 420 - dx]))
    moving = Image(np.ascontiguousarray(picture[dy:, dx:]))
    method = build(name, points_file, glue_file, size=0, look=look, precision="float32")
    answer = method.register(fixed, moving)
    assert answer.reason == ""
    found = answer.fixed_from_moving.apply([[100.0, 100.0], [300.0, 250.0]])
    np.testing.assert_allclose(found, [[116, 124], [316, 274]], atol=0.5)
    matches = answer.diagnostics.matches
    assert matches.inliers.sum() > 20
    np.testing.assert_allclose(np.median(matches.fixed - matches.moving, axis=0), SHIFT, atol=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_points_come_back_in_native_pixels(name, points_file, glue_file):
    small = scene(256, 256)
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)  # the centre of pixel 0 is at 0.5
    method = build(name, points_file, glue_file, size=256, look="grey")
    answer = method.register(Image(small), Image(large))
    found = answer.fixed_from_moving.apply([[0.5, 0.5], [400.5, 300.5]])
    np.testing.assert_allclose(found, [[0, 0], [200, 150]], atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_images_without_structure_fail_with_a_reason(name, points_file, glue_file):
    blank = Image(np.full((64, 64), 90, np.uint8))
    method = build(name, points_file, glue_file, threshold=0.9)
    answer = method.register(blank, blank)
    assert answer.fixed_from_moving is None
    assert "0 matches" in answer.reason
    assert answer.diagnostics.values["n_keypoints_fixed"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_options_and_contract(name, points_file, glue_file):
    assert {"weights", "keypoints", "model", "precision", "accept_license"} <= set(
        option_types(METHODS.factory(name))
    )
    method = build(name, points_file, glue_file, model="affine")
    assert isinstance(method, Method)
    assert method.info.name == name
    assert method.info.family == "affine"
    assert "affine" in method.info.estimator
    expected = ["unknown", "MIT"][: 1 if name == "superpoint-mnn" else 2]
    assert method.info.weights_licence == " AND ".join(expected)


def test_official_weights_ask_before_anything_else(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("IMEDBENCH_ACCEPT_LICENSE", raising=False)
    with pytest.raises(BadInput, match="non-commercial"):
        METHODS.create("superpoint-superglue:weights=official")
    method = METHODS.create("superpoint-superglue:weights=official:accept_license=on")
    assert method.info.weights_licence == MAGIC_LEAP


def test_weights_of_the_wrong_network_are_named(points_file):
    method = superpoint_superglue.SuperPointSuperGlue(weights=str(points_file))
    with pytest.raises(BadInput, match=r"points\.pth: these are no weights of this SuperGlue"):
        method.prepare("cpu")


def test_least_probability_goes_with_the_weights(points_file, glue_file, monkeypatch):
    asked = []

    def noted(assigned: torch.Tensor, least: float) -> PointMatches:
        asked.append(least)
        return mutual_matches(assigned, least)

    monkeypatch.setattr("imedbench.methods.networks.superglue.mutual_matches", noted)
    picture = Image(scene(64, 64))
    build("superpoint-superglue", points_file, glue_file, size=64).register(picture, picture)
    describe = weight_sources.describe
    monkeypatch.setattr(
        weight_sources, "describe", lambda *which: replace(describe(*which), ours=False)
    )
    for least in (None, 0.5):
        theirs = build(
            "superpoint-superglue", points_file, glue_file, size=64, match_threshold=least
        )
        theirs.register(picture, picture)
    assert asked == [0.1, 0.2, 0.5]


def test_what_the_network_is_shown():
    dark = np.full((100, 200), 150, np.uint8)
    dark[48:52] = 60
    plane, fov = shown(Image(dark), 100, normalised=True)
    assert plane.shape == fov.shape == (50, 100)
    assert plane[25, 50] > 0.6  # the dark vessel has become bright
    plain, _ = shown(Image(dark), 0, normalised=False)
    np.testing.assert_allclose(plain, dark / 255, atol=1e-6)


def test_arithmetic():
    assert arithmetic("float32", "cpu") is None
    assert arithmetic("bfloat16", "cpu") is torch.bfloat16
    assert arithmetic("float16", "cuda") is torch.float16
    assert arithmetic("auto", "cpu") in (None, torch.bfloat16)


def test_half_precision_finds_the_same_shift(points_file, glue_file):
    picture = scene()
    dx, dy = SHIFT
    fixed = Image(np.ascontiguousarray(picture[: 380 - dy, : 420 - dx]))
    moving = Image(np.ascontiguousarray(picture[dy:, dx:]))
    method = build("superpoint-mnn", points_file, glue_file, size=0, precision="bfloat16")
    found = method.register(fixed, moving).fixed_from_moving.apply([[100.0, 100.0]])
    np.testing.assert_allclose(found, [[116, 124]], atol=0.5)


@pytest.mark.parametrize(
    ("name", "split"), [("superpoint-mnn", "single-modal"), ("superpoint-superglue", "multi-modal")]
)
def test_shipped_weights_register_a_synthetic_eye(name, split):
    pairs = DATASETS.create("synthetic:pairs=1:seed=7")
    pair = pairs.load(pairs.refs(split)[0])
    method = METHODS.create(name)
    method.prepare("cpu")
    answer = method.register(pair.fixed, pair.moving)
    assert answer.reason == ""
    found = answer.fixed_from_moving.apply(pair.truth.moving_points)
    before = np.linalg.norm(pair.truth.moving_points - pair.truth.fixed_points, axis=1).mean()
    after = np.linalg.norm(found - pair.truth.fixed_points, axis=1).mean()
    assert after < 5 < before


@pytest.mark.parametrize("network", [weight_sources.SUPERPOINT, weight_sources.SUPERGLUE])
def test_shipped_weights_are_small_and_described(network):
    card = weights.read_card(network.shipped)
    assert (weights.FOLDER / f"{network.shipped}.safetensors").stat().st_size < 6e6
    assert card.steps > 0
    assert card.figures
    assert card.command.startswith("imedbench train")
    assert "test" not in " ".join(card.trained_on)
