"""What SuperPoint and SuperGlue are trained with: corners, matched views, labels, losses, runs."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imedbench.core.errors import BadInput
from imedbench.methods.networks.keypoints import Keypoints, match_mutually, score_map
from imedbench.methods.networks.losses.keypoints import (
    assignment_loss,
    cell_labels,
    contrastive_loss,
    true_assignment,
)
from imedbench.methods.networks.superpoint import SuperPoint
from imedbench.methods.training.matched_views import (
    Style,
    Subject,
    ViewMotion,
    between,
    in_view,
    project_points,
    take_views,
)
from imedbench.methods.training.vessel_corners import centre_lines, vessel_corners
from imedbench.methods.training.vessel_folders import VesselImage

PLAIN = Style(drawn=0.0, clean=1.0)


def fork() -> np.ndarray:
    """A trunk from the left that forks at (100, 100), the ends outside the picture's rim."""
    mask = np.zeros((200, 200), np.uint8)
    for end in ((20, 100), (170, 40), (170, 160)):
        cv2.line(mask, (100, 100), end, 1, 7)
    return mask > 0


def dotted_image(count: int = 12, size: int = 256) -> tuple[VesselImage, np.ndarray]:
    """An image of bright dots, and where they are."""
    rng = np.random.default_rng(5)
    spots = rng.uniform(60, size - 60, (count, 2))
    y, x = np.mgrid[:size, :size]
    plane = np.full((size, size), 0.3, np.float32)
    for cx, cy in spots:
        plane += 0.6 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18).astype(np.float32)
    everywhere = np.ones((size, size), bool)
    image = VesselImage("dots", plane.clip(0, 1), everywhere, fork_in(size))
    return image, spots


def fork_in(size: int) -> np.ndarray:
    return cv2.resize(fork().astype(np.uint8), (size, size)) > 0


def test_corners_of_a_fork_are_the_fork_and_the_ends():
    found = vessel_corners(fork())
    for expected in ((100, 100), (20, 100), (170, 40), (170, 160)):
        assert np.linalg.norm(found - expected, axis=1).min() < 5
    straight = np.linalg.norm(found - (60, 100), axis=1).min()
    assert straight > 20


def test_straight_vessel_through_the_picture_has_no_corner():
    mask = np.zeros((120, 160), bool)
    mask[55:62] = True
    assert len(vessel_corners(mask)) == 0


def test_no_vessels_have_no_corners():
    assert vessel_corners(np.zeros((40, 40), bool)).shape == (0, 2)


def test_centre_lines_lie_inside_and_are_one_pixel_wide():
    lines = centre_lines(fork())
    assert (lines & ~fork()).sum() == 0
    assert lines[:, 60].sum() == 1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_views_show_each_dot_where_the_matrices_say(seed):
    image, spots = dotted_image()
    subject = Subject(image, spots.astype(np.float32))
    motion = ViewMotion(zoom_min=0.45, zoom_max=0.6)
    rng = np.random.default_rng(seed)
    first, second = take_views(subject, 200, motion, PLAIN, rng)
    for view in (first, second):
        assert len(view.corners) > 0
        for x, y in view.corners:
            patch = view.plane[int(y) - 5 : int(y) + 7, int(x) - 5 : int(x) + 7]
            if patch.shape != (12, 12):
                continue
            weight = np.maximum(patch - 0.35, 0).astype(np.float64)
            assert weight.max() > 0.2  # the dot is there
    there = project_points(between(first, second), first.corners)
    shared = in_view(there, second.fov)
    for point in there[shared]:
        assert np.linalg.norm(second.corners - point, axis=1).min() < 1e-3


def test_dot_is_centred_on_its_corner():
    image, spots = dotted_image(count=1)
    subject = Subject(image, spots.astype(np.float32))
    motion = ViewMotion(zoom_min=0.9, zoom_max=0.9, shift=0.0)
    seen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        view = take_views(subject, 256, motion, PLAIN, rng)[0]
        for corner in view.corners:
            if (corner < 20).any() or (corner > 235).any():
                continue
            y, x = np.mgrid[:256, :256]
            weight = np.maximum(view.plane - 0.5, 0) * (np.hypot(x - corner[0], y - corner[1]) < 15)
            centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
            assert np.linalg.norm(centre - corner) < 0.15
            seen += 1
    assert seen > 5


def test_same_seed_gives_the_same_views():
    image, spots = dotted_image()
    subject = Subject(image, spots.astype(np.float32))
    a = take_views(subject, 96, ViewMotion(), Style(), np.random.default_rng(3))
    b = take_views(subject, 96, ViewMotion(), Style(), np.random.default_rng(3))
    assert all(np.array_equal(x.plane, y.plane) for x, y in zip(a, b, strict=True))


def test_inverted_style_turns_light_into_dark():
    image, spots = dotted_image()
    subject = Subject(image, spots.astype(np.float32))
    inverted = dataclasses.replace(PLAIN, inverted=1.0)
    plain = take_views(subject, 96, ViewMotion(), PLAIN, np.random.default_rng(3))[0]
    dark = take_views(subject, 96, ViewMotion(), inverted, np.random.default_rng(3))[0]
    np.testing.assert_allclose(plain.plane + dark.plane, 1, atol=1e-6)


def test_labels_are_read_back_by_the_score_map():
    points = np.array([[3.0, 5.0], [17.2, 30.9], [31.0, 31.0]])
    labels = cell_labels(points, 32)
    logits = 50 * torch.nn.functional.one_hot(labels, 65).permute(2, 0, 1)[None].float()
    y, x = np.nonzero(score_map(logits)[0].numpy() > 0.5)
    assert set(zip(x.tolist(), y.tolist(), strict=True)) == {(3, 5), (17, 31), (31, 31)}


def test_contrastive_loss_is_the_cross_entropy_of_each_row_and_column():
    generator = torch.Generator().manual_seed(0)
    a, b = (
        torch.nn.functional.normalize(torch.randn(1, 4, 8, generator=generator), dim=2)
        for _ in range(2)
    )
    points = torch.tensor([[[0.0, 0], [50, 0], [0, 50], [50, 50]]])
    logits = (a[0] @ b[0].T / 0.1).double().numpy()
    rows = -np.log(np.exp(logits.diagonal()) / np.exp(logits).sum(1))
    columns = -np.log(np.exp(logits.diagonal()) / np.exp(logits).sum(0))
    expected = (rows.mean() + columns.mean()) / 2
    assert float(contrastive_loss(a, b, points, points, 0.1)) == pytest.approx(expected, rel=1e-4)


def test_contrastive_loss_forgets_padding_and_near_neighbours():
    same = torch.nn.functional.normalize(torch.ones(1, 3, 8), dim=2)
    points = torch.tensor([[[0.0, 0], [3, 0], [torch.nan, torch.nan]]])
    assert float(contrastive_loss(same, same, points, points, 0.1)) == pytest.approx(0, abs=1e-6)
    nothing = torch.full((1, 3, 2), torch.nan)
    assert float(contrastive_loss(same, same, nothing, nothing, 0.1)) == 0


def test_true_assignment_by_hand():
    first = torch.tensor([[[0.0, 0], [10, 0], [20, 0], [24.5, 0]]])
    second = torch.tensor([[[1.0, 0], [20, 1], [60, 0]]])
    target = true_assignment(first, second, near=3.0, far=6.0)[0]
    assert target.nonzero().tolist() == [[0, 0], [1, 3], [2, 1], [4, 2]]


def test_assignment_loss_by_hand():
    log_p = torch.log(torch.tensor([[[0.5, 0.1, 0.4], [0.2, 0.1, 0.7], [0.3, 0.8, 0.1]]]))
    target = torch.zeros(1, 3, 3, dtype=torch.bool)
    target[0, 0, 0] = target[0, 1, 2] = target[0, 2, 1] = True
    expected = -np.log(0.5) - (np.log(0.7) + np.log(0.8)) / 2
    assert float(assignment_loss(log_p, target)) == pytest.approx(expected, rel=1e-5)
    assert float(assignment_loss(log_p, torch.zeros_like(target))) == 0


def test_mutual_matches_equal_a_plain_search():
    generator = torch.Generator().manual_seed(2)

    def found(count: int, valid: int) -> Keypoints:
        descriptors = torch.randn(1, count, 5, generator=generator)
        known = torch.arange(count)[None] < valid
        return Keypoints(torch.zeros(1, count, 2), torch.zeros(1, count), descriptors, known)

    for _ in range(20):
        a, b = found(9, 9), found(7, 5)
        similarity = (a.descriptors[0] @ b.descriptors[0, :5].T).numpy()
        best = similarity.argmax(1)
        expected = [[i, j] for i, j in enumerate(best) if similarity[:, j].argmax() == i]
        assert sorted(match_mutually(a, b).tolist()) == expected
    assert match_mutually(found(3, 0), found(4, 4)).shape == (0, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three forked pictures with their masks."""
    root = tmp_path_factory.mktemp("forks")
    for kind in ("images", "vessels"):
        (root / kind / "train").mkdir(parents=True)
    for i in range(3):
        mask = np.rot90(fork(), i).astype(np.uint8)
        noise = np.random.default_rng(i).normal(0, 6, mask.shape)
        picture = np.clip(90 + 80 * cv2.GaussianBlur(mask * 1.0, (0, 0), 1.5) + noise, 0, 255)
        cv2.imwrite(str(root / "images" / "train" / f"{i}.png"), picture.astype(np.uint8))
        cv2.imwrite(str(root / "vessels" / "train" / f"{i}.png"), mask * 255)
    return root


SHORT = {
    "epochs": 1, "steps_per_epoch": 2, "batch_size": 2, "crop": 64, "validation_pairs": 1,
    "accelerator": "cpu", "threads": 1,
}  # fmt: skip


GLUE = {
    **{name: value for name, value in SHORT.items() if name != "crop"}, "size": 96, "views": 2,
    "groups": (2,), "keypoints": 24, "shown": 16, "transformer_weights": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """The run folder of a SuperPoint training of two steps."""
    superpoint = pytest.importorskip("imedbench.methods.training.superpoint")
    from imedbench.methods.training.loop import train

    out = tmp_path_factory.mktemp("run") / "superpoint"
    train(superpoint.build, superpoint.SuperPointConfig(**SHORT, descriptor_dim=32), [folder], out)
    return out


def test_superpoint_training_leaves_weights_with_a_card(trained):
    from imedbench.methods import weights

    network = weights.load("superpoint-retina", trained)
    assert isinstance(network, SuperPoint)
    assert network.descriptor_dim == 32
    card = weights.read_card("superpoint-retina", trained)
    assert card.steps == 2
    assert len(card.trained_on) == 1
    assert (trained / "samples").is_dir()


def test_superglue_trains_on_the_keypoints_of_that_superpoint(trained, folder, tmp_path):
    superglue = pytest.importorskip("imedbench.methods.training.superglue")
    from imedbench.methods import weights
    from imedbench.methods.training.loop import train

    config = superglue.SuperGlueTraining(
        **GLUE, superpoint=str(trained / "superpoint-retina"), width=32, layers=1
    )
    train(superglue.build, config, [folder], tmp_path / "superglue")
    network = weights.load("superglue-32x1-retina", tmp_path / "superglue")
    assert network.config.descriptor_dim == 32
    # The detector is frozen: only the matcher is stored and only it has changed.
    assert not any(name.startswith("detector") for name in network.state_dict())

    start = str(tmp_path / "superglue" / "superglue-32x1-retina")
    onwards = dataclasses.replace(config, start=start, descriptor_weight=20.0)
    begun = superglue.build(onwards, [folder]).net
    torch.testing.assert_close(begun.output.weight, network.output.weight * 0.5**0.5)
    assert torch.equal(begun.layers[0].query.weight, network.layers[0].query.weight)
    with pytest.raises(BadInput, match="another network"):
        superglue.build(dataclasses.replace(onwards, layers=2), [folder])


def test_views_of_one_eye_are_found_once_and_kept(trained, folder, tmp_path):
    superglue = pytest.importorskip("imedbench.methods.training.superglue")

    config = superglue.SuperGlueTraining(
        **GLUE,
        superpoint=str(trained / "superpoint-retina"),
        views_folder=str(tmp_path / "views"),
    )
    first = superglue.build(config, [folder]).draw(np.random.default_rng(3))
    again = superglue.build(config, [tmp_path / "gone"]).draw(np.random.default_rng(3))
    assert all(torch.equal(first[name], again[name]) for name in first)
    # What is true follows from where the points lie in the eye.
    start, end = torch.nonzero(first["target"][:-1, :-1], as_tuple=True)
    left = first["places"][0][start] - first["places"][1][end]
    assert (left.norm(dim=1) < 3).all()


def test_views_drawn_small_show_each_dot_where_the_place_says(monkeypatch):
    views = pytest.importorskip("imedbench.methods.training.keypoint_views")
    from imedbench.methods.training.aligned_eyes import AlignedEye

    dots = np.array([[60.0, 50.0], [130.0, 70.0], [95.0, 140.0]])
    y, x = np.mgrid[:200, :200]
    rng = np.random.default_rng(0)
    plane = rng.normal(128, 4, (200, 200))
    for dot in dots:
        plane += 100 * np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / 30)
    eye = AlignedEye((plane.clip(0, 255).astype(np.uint8),), np.zeros((200, 200), np.uint8), (1, 1))
    monkeypatch.setattr(views, "_CLEAN", 1.0)
    monkeypatch.setattr(views, "_AS_IT_IS", 0.0)
    size = 192
    plan = views.ViewPlan(1, size, 70, 8, None)
    drawn = [
        views.draw_view(eye, lambda unit: unit * 80 + 99.5, [eye], plan, np.random.default_rng(i))
        for i in range(6)
    ]
    left = []
    for shown, seen in drawn:
        assert shown.shape == seen.shape == (size, size)
        assert seen.all()
        y, x = np.mgrid[:size, :size]
        for px, py in (dots - 99.5) / 80 * size / 2 + size / 2 - 0.5:
            weight = np.maximum(shown - 0.8, 0) * (np.hypot(x - px, y - py) < 10)
            centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
            left.append(centre - (px, py))
    assert np.abs(left).max() < 0.5
    assert np.abs(np.mean(left, axis=0)).max() < 0.2  # half a small pixel would be 0.4
    # Drawn at fewer pixels, a view holds less detail.
    fine = views.draw_view(
        eye, lambda unit: unit * 80 + 99.5, [eye], plan._replace(least_size=size), rng
    )[0]
    assert all(cv2.Laplacian(s, -1).std() < cv2.Laplacian(fine, -1).std() for s, _ in drawn)


def test_the_paper_size_is_one_option():
    config = pytest.importorskip("imedbench.methods.training.superglue_config")
    full = config.SuperGlueTraining(full=True).sizes(256)
    assert (full.width, full.layers, full.encoder_sizes) == (256, 9, (32, 64, 128, 256))


def test_a_narrow_network_starts_as_nearest_neighbours_along_the_main_directions():
    from imedbench.methods.networks import superglue

    torch.manual_seed(0)
    plane = torch.linalg.qr(torch.randn(32, 8)).Q.T  # all descriptors lie in 8 of 32 dimensions
    vectors = torch.nn.functional.normalize(torch.randn(20, 8) @ plane, dim=1)
    network = superglue.build(descriptor_dim=32, width=8, encoder_sizes=[4], layers=1, heads=2)
    superglue.start_as_nearest_neighbours(network, vectors)
    order = torch.randperm(20)
    points = torch.rand(1, 20, 2) * 64
    valid = torch.ones(1, 20, dtype=torch.bool)
    first = Keypoints(points, torch.rand(1, 20), vectors[None], valid)
    second = Keypoints(points[:, order], torch.rand(1, 20), vectors[None, order], valid)
    found = network.eval()(first, second, (64, 64), (64, 64))
    assert torch.equal(superglue.mutual_matches(found).index[0][order], torch.arange(20))


def test_superglue_training_names_weights_of_another_network(folder, tmp_path):
    superglue = pytest.importorskip("imedbench.methods.training.superglue")
    from imedbench.methods.training.loop import train

    config = superglue.SuperGlueTraining(**GLUE, superpoint=str(tmp_path / "nothing"))
    with pytest.raises(BadInput, match="nothing"):
        train(superglue.build, config, [folder], tmp_path / "out")
