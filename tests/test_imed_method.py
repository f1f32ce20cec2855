"""The whole pipeline on drawn eyes with exact ground truth."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from imedbench.core.stages import collect_stages
from imedbench.core.transforms import Affine, Homography, warp_image
from imedbench.core.types import Image, ImagePair, Registration
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.datasets.synthetic.warps import Level
from imedbench.methods.imed.attempt import Attempt, Budget, Prepared, finish_at
from imedbench.methods.imed.method import Imed, ImedFast
from imedbench.methods.imed.search import Poses, SearchRange, search
from imedbench.methods.imed.selfcheck import Evidence
from imedbench.methods.vessel_maps import Segmenter, VesselMap
from imedbench.methods.working_images import WorkingImage

SIZE = 320


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def method() -> Imed:
    made = Imed(size=SIZE)
    made.prepare("cpu")
    return made


def error(answer: Registration, pair: ImagePair) -> float:
    """Mean landmark distance, px."""
    assert answer.fixed_from_moving is not None, answer.reason
    assert pair.truth.moving_points is not None
    mapped = answer.fixed_from_moving.apply(pair.truth.moving_points)
    return float(np.linalg.norm(mapped - pair.truth.fixed_points, axis=1).mean())


@pytest.mark.parametrize("kinds", [("cf", "octa"), ("cf", "fa"), ("octa", "octa"), ("cf", "cf")])
def test_every_pair_of_modalities_is_registered(method: Imed, kinds: tuple[str, str]) -> None:
    pair = make_pair(3, "imed", fixed_modality=kinds[0], moving_modality=kinds[1], size=SIZE)
    answer = method.register(pair.fixed, pair.moving)
    assert error(answer, pair) < 0.7
    assert answer.confidence is not None
    assert answer.confidence > 0.9


def test_modality_names_make_no_difference(method: Imed) -> None:
    pair = make_pair(4, "imed", size=SIZE)
    told = method.register(pair.fixed, pair.moving)
    untold = method.register(Image(pair.fixed.pixels), Image(pair.moving.pixels))
    assert told.fixed_from_moving is not None
    assert untold.fixed_from_moving is not None
    corner = [[0, 0], [SIZE, SIZE]]
    np.testing.assert_array_equal(
        told.fixed_from_moving.apply(corner), untold.fixed_from_moving.apply(corner)
    )


@pytest.mark.parametrize(("degrees", "scale"), [(160.0, 1.0), (20.0, 0.6), (-25.0, 1.6)])
def test_far_rotations_and_zooms_are_found(method: Imed, degrees: float, scale: float) -> None:
    pair = make_pair(5, "easy", size=SIZE)
    middle = ((SIZE - 1) / 2, (SIZE - 1) / 2)
    move = Affine.similarity(scale=scale, rotation_deg=degrees, centre=middle)
    moved = warp_image(pair.moving.pixels, move.inverse(), (SIZE, SIZE))
    answer = method.register(pair.fixed, Image(moved))
    assert answer.fixed_from_moving is not None
    assert error(Registration(move.then(answer.fixed_from_moving)), pair) < 1.5


def test_images_may_differ_in_size(method: Imed) -> None:
    pair = make_pair(6, "imed", size=SIZE)
    enlarge = Affine([[2, 0, 0.5], [0, 2, 0.5]])
    big = cv2.resize(pair.moving.pixels, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    answer = method.register(pair.fixed, Image(big))
    assert answer.fixed_from_moving is not None
    assert error(Registration(enlarge.then(answer.fixed_from_moving)), pair) < 1.0


def test_a_native_scale_of_ten_is_found(method: Imed) -> None:
    pair = make_pair(6, "imed", size=SIZE)
    camera = Affine([[8, 0, 3.5], [0, 8, 3.5]])
    scan = Affine([[0.8, 0, -0.1], [0, 0.8, -0.1]])
    large = cv2.resize(pair.fixed.pixels, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(pair.moving.pixels, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    answer = method.register(Image(large), Image(small))
    assert answer.fixed_from_moving is not None
    back = scan.then(answer.fixed_from_moving).then(camera.inverse())
    assert error(Registration(back), pair) < 1.0


def test_what_was_found_on_smaller_maps_is_finished_on_larger_ones(method: Imed) -> None:
    pair = make_pair(4, "imed", size=SIZE)
    attempts = []
    for size in (SIZE // 2, SIZE):
        other = Imed(size=size, rotation="narrow")
        other.prepare("cpu")
        attempts.append(next(other.attempts(pair.fixed, pair.moving)))
    small, large = attempts
    found = finish_at(small, large.fixed, large.moving, method._budget)
    assert found.size == SIZE
    assert found.evidence == small.evidence
    errors = [error(Registration(Homography(a.native_pose)), pair) for a in (small, found)]
    assert errors[1] < errors[0]


def test_the_eye_of_another_is_refused(method: Imed) -> None:
    for seed in (10, 20):
        one, other = make_pair(seed, "imed", size=SIZE), make_pair(seed + 1, "imed", size=SIZE)
        answer = method.register(one.fixed, other.moving)
        assert answer.fixed_from_moving is None
        assert "no pose is convincing" in answer.reason


def test_a_faint_image_under_noise_is_answered(method: Imed) -> None:
    pair = make_pair(4, "imed", size=SIZE)
    grey = pair.fixed.pixels
    noise = np.random.default_rng(4).normal(0, 8, grey.shape)
    faint = np.clip((grey - grey.mean()) * 0.35 + grey.mean() + noise, 0, 255).astype(np.uint8)
    answer = method.register(Image(faint), pair.moving)
    assert error(answer, pair) < 0.7


def test_an_image_without_vessels_is_refused(method: Imed) -> None:
    pair = make_pair(3, "easy", size=SIZE)
    blank = Image(np.full((SIZE, SIZE), 120, np.uint8))
    assert "hardly any vessels" in method.register(pair.fixed, blank).reason
    assert "hardly any vessels" in method.register(blank, pair.moving).reason
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE)).astype(np.uint8)
    for radius in (0.1, 3.0):
        image = Image(np.asarray(cv2.GaussianBlur(noise, (0, 0), radius), np.uint8))
        assert method.register(pair.fixed, image).fixed_from_moving is None


@pytest.mark.parametrize(
    "options",
    [
        {"segmentation": "oriented"},
        {"segmentation": "ridge"},
        {"refine": "affine"},
        {"refine": "similarity"},
        {"rotation": "all"},
    ],
    ids=str,
)
def test_every_option_still_registers(options: dict[str, object]) -> None:
    pair = make_pair(7, "easy", size=SIZE)
    method = Imed(size=SIZE, selfcheck=False, **options)  # type: ignore[arg-type]
    method.prepare("cpu")
    assert error(method.register(pair.fixed, pair.moving), pair) < 4


def test_refinement_is_worth_having() -> None:
    pair = make_pair(8, "imed", size=SIZE)
    errors = []
    for kind in ("off", "similarity", "homography"):
        method = Imed(size=SIZE, refine=kind, selfcheck=False)  # type: ignore[arg-type]
        method.prepare("cpu")
        errors.append(error(method.register(pair.fixed, pair.moving), pair))
    assert errors[0] > errors[1] > errors[2]


def test_a_curved_eye_is_bent(method: Imed) -> None:
    pair = make_pair(13, "hard", size=SIZE)
    answer = method.register(pair.fixed, pair.moving)
    best, _ = cv2.findHomography(pair.truth.moving_points, pair.truth.fixed_points)
    assert error(answer, pair) < 0.5 * error(Registration(Homography(best)), pair)
    assert answer.diagnostics.values["bend"] > 0.5


def test_the_fast_form_works_on_small_images() -> None:
    pair = make_pair(9, "imed", size=512)
    method = ImedFast()
    method.prepare("cpu")
    answer = method.register(pair.fixed, pair.moving)
    assert error(answer, pair) < 1.5
    assert answer.diagnostics.values["size"] == 256


def test_diagnostics_show_maps_and_evidence(method: Imed) -> None:
    pair = make_pair(3, "imed", size=SIZE)
    with collect_stages() as times:
        shown = method.register(pair.fixed, pair.moving).diagnostics
    assert set(shown.images) == {"fixed_vessels", "moving_vessels"}
    assert all(image.dtype == np.uint8 for image in shown.images.values())
    read = {"excess_match_rate", "z_score", "overlap", "met_length", "spread", "lead", "bend"}
    assert read <= set(shown.values)
    assert shown.values["bend"] == 0  # this eye is flat
    assert 0 < shown.values["expected_error"] < 0.5
    stages = {"normalise", "maps", "lines", "search", "refine", "polish", "bend"}
    assert set(times.milliseconds) == stages


def test_the_answer_does_not_depend_on_chance(method: Imed) -> None:
    pair = make_pair(12, "hard", size=SIZE)
    first, second = (method.register(pair.fixed, pair.moving) for _ in range(2))
    assert first.confidence == second.confidence


class ShakenSegmenter(Segmenter):
    """Vessel maps with a little noise on them.

    Args:
        seed: of the noise.
        sigma: of the noise, as a share of the strength.
    """

    def __init__(self, seed: int, sigma: float = 1e-3) -> None:
        super().__init__("unet", network=Imed.network)
        self.rng, self.sigma = np.random.default_rng(seed), sigma

    def __call__(self, view: WorkingImage) -> VesselMap:
        vessels = super().__call__(view)
        noise = 1 + self.sigma * self.rng.standard_normal(vessels.strength.shape)
        return replace(vessels, strength=(vessels.strength * noise).astype(np.float32))


@pytest.mark.parametrize(("seed", "level"), [(3, "imed"), (7, "fields")])
def test_noise_on_the_maps_hardly_moves_the_answer(seed: int, level: Level) -> None:
    pair = make_pair(seed, level)
    method = Imed(rotation="narrow")
    method.prepare("cpu")
    plain = method.register(pair.fixed, pair.moving).fixed_from_moving
    assert plain is not None
    method._segmenter = ShakenSegmenter(seed)
    shaken = method.register(pair.fixed, pair.moving).fixed_from_moving
    assert shaken is not None
    moves = np.linalg.norm(
        plain.apply(pair.truth.moving_points) - shaken.apply(pair.truth.moving_points), axis=1
    )
    assert 0 < moves.mean() < 0.3


def test_a_clear_leader_is_not_compared_with_the_rest(
    method: Imed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def searched(*arguments: object) -> Poses:
        asked.append(arguments[-1])
        return search(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("imedbench.methods.imed.attempt.search", searched)
    pair = make_pair(3, "imed", size=SIZE)
    early = method.register(pair.fixed, pair.moving)
    assert asked == ["near"]
    monkeypatch.setattr("imedbench.methods.imed.attempt._CLEAR_LEAD", np.inf)
    late = method.register(pair.fixed, pair.moving)
    assert asked == ["near", "near", "far"]
    assert abs(error(early, pair) - error(late, pair)) < 0.05


WEAK, FAIR, SURE = (Evidence(0.45, 60, 0.5, 900, 0.8, 1 / SIZE, lead) for lead in (0.0, 0.3, 0.5))


@pytest.mark.parametrize(
    ("found", "used", "answered"),
    [
        ([SURE], 1, 0),
        ([WEAK, SURE], 2, 1),
        ([FAIR, WEAK, SURE], 3, 2),
        ([WEAK, FAIR, WEAK], 3, 1),
        ([WEAK, WEAK, WEAK], 3, None),
    ],
    ids=["at once", "over all rotations", "at another size", "the best, not the last", "never"],
)
def test_what_fails_is_tried_again_over_all_rotations_and_at_another_size(
    method: Imed,
    monkeypatch: pytest.MonkeyPatch,
    found: list[Evidence],
    used: int,
    answered: int | None,
) -> None:
    assert WEAK.trust < 0.5 < FAIR.trust < 0.95 < SURE.trust
    plans = []

    def tried(fixed: Prepared, moving: Prepared, span: SearchRange, budget: Budget) -> Attempt:
        plans.append((fixed.targets.lines.shape[0], span.max_rotation))
        pose = np.diag([1.0 + 0.01 * len(plans), 1.0, 1.0])
        return Attempt(fixed, moving, pose, found[len(plans) - 1])

    def left_as_it_is(best: Attempt, *_: object) -> Attempt:
        return best

    monkeypatch.setattr("imedbench.methods.imed.attempt.attempt", tried)
    for last in ("attempt.finish_at", "polish.polish"):
        monkeypatch.setattr(f"imedbench.methods.imed.{last}", left_as_it_is)
    pair = make_pair(3, "easy", size=SIZE)
    answer = method.register(pair.fixed, pair.moving)
    assert plans == [(SIZE, 40.0), (SIZE, 180.0), (SIZE // 2, 40.0)][:used]
    if answered is None:
        assert "no pose is convincing" in answer.reason
    else:
        assert answer.fixed_from_moving is not None
        assert answer.confidence == found[answered].confidence
        grown = answer.fixed_from_moving.apply([[100.0, 0.0]])[0, 0]
        assert grown == pytest.approx(100 * (1.01 + 0.01 * answered), abs=0.02)


def test_info_says_what_was_trained_on_what() -> None:
    assert Imed().info.trained_on == ("octa500_3m/train", "drive/train", "chasedb1/train")
    assert len(Imed().info.weights) == 16
    assert Imed(network="vessels").info.weights != Imed().info.weights
    assert Imed(segmentation="ridge").info.trained_on == ()
    families = {"curved": "dense", "homography": "homography", "off": "similarity"}
    for refine, family in families.items():
        assert Imed(refine=refine).info.family == family  # type: ignore[arg-type]
    assert ImedFast().info.name == "imed-fast"
