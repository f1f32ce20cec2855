"""What every registered plugin must keep to; a new one is tested the moment it registers."""

from __future__ import annotations

import inspect
import math
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from imedbench.core.datasets import Dataset, DatasetInfo, MissingSplit
from imedbench.core.errors import BadInput, Declined
from imedbench.core.metrics import Metric, PairViews, RegisteredPair
from imedbench.core.options import option_defaults, option_types
from imedbench.core.registry import DATASETS, METHODS, METRICS, WRAPPERS
from imedbench.core.transforms import Affine, DenseField, Transform
from imedbench.core.types import (
    SPLITS,
    GroundTruth,
    Image,
    ImagePair,
    Method,
    MethodInfo,
)
from imedbench.metrics.reference_vessels import reference_vessels
from imedbench.runs.calls import Task, call_method

SIZE = 160  # px

#: Every method, and every wrapper round the one that needs no weights of its own.
NAMES = [*METHODS.names(), *(f"{wrapper}+sift" for wrapper in WRAPPERS.names())]

#: What each metric gives for one image registered to itself by the identity.
PERFECT = {
    "dice": 1.0,
    "folding": 0.0,
    "inverse_consistency": 0.0,
    "mse": 0.0,
    "mse_image": 0.0,
    "ncc": 1.0,
    "nmi": 2.0,
    "rmse": 0.0,
    "rmse_image": 0.0,
    "sd_log_j": 0.0,
    "soft_dice": 1.0,
    "ssim": 1.0,
    "tre_max": 0.0,
    "tre_mean": 0.0,
    "tre_mean_um": 0.0,
    "tre_median": 0.0,
    "tre_rms": 0.0,
}


REGULARITY = {"folding", "sd_log_j", "inverse_consistency"}


def scene(width: int = SIZE, height: int = SIZE) -> np.ndarray:
    """Dark branching lines on a bright uneven ground: enough for any method to work on."""
    rng = np.random.default_rng(5)
    ground = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 12)
    picture = 150 + 40 * ground / np.abs(ground).max()
    picture += rng.normal(size=picture.shape) * 3
    for _ in range(14):
        places = rng.uniform(0, (width, height), (4, 2)).round().astype(np.int32)
        cv2.polylines(picture, [places], False, 60.0, int(rng.integers(1, 4)), cv2.LINE_AA)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.8), 0, 255).astype(np.uint8)


SCENE = scene()
COLOUR = np.dstack([SCENE, SCENE, SCENE // 2])
MOVED = scene(SIZE + 6, SIZE + 4)[4:, 6:]
IMAGES = {
    "grey": (Image(SCENE, "cf"), Image(MOVED, "octa")),
    "colour": (Image(COLOUR, "cf"), Image(255 - SCENE, "octa")),
    "sizes": (Image(COLOUR, "unknown"), Image(cv2.resize(SCENE, (200, 144)), "unknown")),
}


@cache
def ready(name: str) -> Method:
    """A method set up on the CPU.

    One that declines with a reason is reported as skipped; one that cannot be set up fails.
    """
    try:
        method: Method = METHODS.create(name)
        method.prepare("cpu")
    except Declined as reason:
        pytest.skip(f"{name} declines: {reason}")
    except BadInput as reason:
        if "licence" not in str(reason):
            raise
        pytest.skip(f"{name} asks for consent that no test may give: {reason}")
    return method


@pytest.fixture(params=NAMES)
def method(request: pytest.FixtureRequest) -> Method:
    return ready(request.param)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_is_found_under_its_own_name(name: str) -> None:
    info = ready(name).info
    assert isinstance(info, MethodInfo)
    assert info.name == name
    for fact in (info.summary, info.family, info.code_licence, info.weights_licence, info.version):
        assert fact
        assert "\n" not in fact
    assert (info.weights_licence == "none") == (info.weights == ""), "weights need hash and licence"


@pytest.mark.parametrize("registry", [METHODS, METRICS, DATASETS], ids=lambda r: r.kind)
def test_every_option_has_a_type_that_text_becomes(registry: Any) -> None:
    for name in registry.names():
        factory = registry.factory(name)
        types, defaults = option_types(factory), option_defaults(factory)
        assert set(types) >= set(defaults)
        for option, kind in types.items():
            assert kind is not inspect.Parameter.empty, f"{name}: {option} has no annotation"
        if registry is METHODS:
            assert set(types) == set(defaults), f"{name} must run without options"


@pytest.mark.parametrize("case", IMAGES)
def test_a_method_answers_within_its_contract(case: str, method: Method) -> None:
    fixed, moving = IMAGES[case]
    before = fixed.pixels.copy(), moving.pixels.copy()
    reply = call_method(method, Task(fixed, moving, seed=3))
    assert reply.outcome.is_answer, f"{reply.outcome}: {reply.reason}"
    transform = reply.transform
    if transform is not None:
        assert isinstance(transform, Transform)
        assert transform.is_finite()
        assert transform.apply([[10, 12]]).shape == (1, 2)
    np.testing.assert_array_equal(fixed.pixels, before[0])
    np.testing.assert_array_equal(moving.pixels, before[1])


def test_a_method_gives_one_answer_for_one_seed(method: Method) -> None:
    task = Task(*IMAGES["grey"], seed=11)
    first, second = (call_method(method, task) for _ in range(2))
    assert (first.outcome, first.reason) == (second.outcome, second.reason)
    if first.transform is not None and second.transform is not None:
        places = [[0, 0], [100, 30], [40, 140]]
        np.testing.assert_array_equal(first.transform.apply(places), second.transform.apply(places))


def test_blank_images_are_a_failure_not_a_crash(method: Method) -> None:
    blank = Image(np.zeros((SIZE, SIZE), np.uint8), "octa")
    reply = call_method(method, Task(blank, blank, seed=0))
    assert reply.outcome.is_answer, f"{reply.outcome}: {reply.reason}"


def test_tiny_images_are_a_failure_not_a_crash(method: Method) -> None:
    tiny = Image(SCENE[:24, :20], "cf")
    reply = call_method(method, Task(tiny, tiny, seed=0))
    assert reply.outcome.is_answer, f"{reply.outcome}: {reply.reason}"


# Metrics


def pair(moving: np.ndarray = COLOUR) -> ImagePair:
    points = np.array([[20.0, 30.0], [90.0, 60.0], [120.0, 140.0]])
    truth = GroundTruth(moving_points=points, fixed_points=points, spacing_um=12.0)
    return ImagePair("p", Image(COLOUR, "cf"), Image(moving, "cf"), truth)


@pytest.fixture(params=METRICS.names())
def metric(request: pytest.FixtureRequest) -> Metric:
    found: Metric = METRICS.create(request.param)
    assert found.info.name == request.param
    return found


def test_a_metric_says_what_it_is(metric: Metric) -> None:
    assert metric.info.summary
    assert metric.info.version
    assert metric.info.needs <= {"landmarks", "spacing", "single-modal", "swapped"}


def test_a_perfect_registration_gets_the_documented_value(metric: Metric) -> None:
    views = PairViews(pair(), "single-modal", reference_vessels)
    value = metric.compute(RegisteredPair(views, Affine.identity(), Affine.identity()))
    if metric.info.name in PERFECT:
        assert value == pytest.approx(PERFECT[metric.info.name], abs=1e-6)
    assert math.isfinite(value)


def test_a_shift_makes_a_metric_worse_or_leaves_it(metric: Metric) -> None:
    views = PairViews(pair(), "single-modal", reference_vessels)
    best = metric.compute(RegisteredPair(views, Affine.identity(), Affine.identity()))
    worse = metric.compute(RegisteredPair(views, Affine([[1, 0, 7], [0, 1, 4]]), Affine.identity()))
    if metric.info.name in PERFECT and metric.info.name not in REGULARITY:
        assert worse < best if metric.info.higher_is_better else worse > best
    assert not math.isnan(worse)


@pytest.mark.parametrize("name", ["folding", "sd_log_j"])
def test_a_folded_field_is_less_regular_than_a_wavy_one(name: str) -> None:
    metric, views = METRICS.create(name), PairViews(pair(), "single-modal", reference_vessels)
    x = np.arange(SIZE) * 2 * np.pi / 40
    values = []
    for height in (3.0, 12.0):  # px; a wave 40 px long folds from 40 / 2π = 6.4 px on
        displacement = np.zeros((SIZE, SIZE, 2), np.float32)
        displacement[..., 0] = height * np.sin(x)
        # What fixed pixels look at is the field itself: its inverse is what is registered.
        values.append(metric.compute(RegisteredPair(views, DenseField(displacement).inverse())))
    assert values[0] < values[1]
    assert (name == "folding") == (values[0] == 0), "a wave that does not fold is no folding"


@pytest.mark.parametrize(
    "transform",
    [
        Affine([[1, 0, 9000], [0, 1, 0]]),  # no overlap
        Affine([[1, 0, SIZE - 2], [0, 1, SIZE - 2]]),  # a few pixels
    ],
)
def test_a_metric_never_raises_where_images_hardly_overlap(
    transform: Transform, metric: Metric
) -> None:
    views = PairViews(pair(), "single-modal", reference_vessels)
    assert isinstance(metric.compute(RegisteredPair(views, transform, Affine.identity())), float)


def test_a_metric_never_raises_on_blank_images(metric: Metric) -> None:
    blank = np.zeros((SIZE, SIZE), np.uint8)
    views = PairViews(pair(blank), "single-modal", reference_vessels)
    assert isinstance(
        metric.compute(RegisteredPair(views, Affine.identity(), Affine.identity())), float
    )


def test_all_documented_values_belong_to_a_metric() -> None:
    assert set(PERFECT) <= set(METRICS.names())


# Data sets


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_data_set_tells_what_it_is_without_its_files(name: str) -> None:
    factory = DATASETS.factory(name)
    info = getattr(factory, "info", None)
    if not isinstance(info, DatasetInfo):
        info = DATASETS.create(name).info
    assert info.name == name
    for fact in (info.summary, info.version, info.licence):
        assert fact


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_data_set_without_files_offers_loadable_pairs(name: str) -> None:
    factory = DATASETS.factory(name)
    needed = set(option_types(factory)) - set(option_defaults(factory))
    if needed:
        with pytest.raises(BadInput, match="needs its option"):
            DATASETS.create(name)
        return
    small = {"size": 96, "pairs": 2}
    options = [f"{o}={v}" for o, v in small.items() if o in option_types(factory)]
    dataset = DATASETS.create(":".join([name, *options]))
    assert isinstance(dataset, Dataset)
    for split in SPLITS:
        try:
            refs = dataset.refs(split)
        except MissingSplit:
            continue
        assert len({ref.pair_id for ref in refs}) == len(refs) > 0
        first, again = dataset.load(refs[0]), dataset.load(refs[0])
        assert (first.pair_id, first.group) == (refs[0].pair_id, refs[0].group)
        assert first.fixed.modality == refs[0].fixed_modality
        np.testing.assert_array_equal(first.fixed.pixels, again.fixed.pixels)
        np.testing.assert_array_equal(first.moving.pixels, again.moving.pixels)
