"""The grown eye against what is known of retinal anatomy."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from imedbench.datasets.synthetic.colonise import Skeleton, colonise, scatter
from imedbench.datasets.synthetic.tree import make_eye
from imedbench.datasets.synthetic.vessels import MURRAY, flow_through

SEEDS = (1, 2, 3)


def _y_shaped() -> Skeleton:
    tree = Skeleton()
    tree.add_path(np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]))
    tree.grow_nodes(np.array([2, 2]), np.array([[3.0, 1.0], [3.0, -1.0]]), 0.5)
    return tree


def test_flow_is_conserved_at_a_fork() -> None:
    flow = flow_through(_y_shaped())
    np.testing.assert_allclose(flow[2], flow[3] + flow[4] + 1e-4)
    assert flow[0] == flow.max()


def test_fork_counts_its_children() -> None:
    tree = _y_shaped()
    assert tree.children.tolist() == [1, 1, 2, 0, 0]
    assert tree.parent.tolist() == [-1, 0, 1, 2, 2]
    np.testing.assert_allclose(np.linalg.norm(tree.heading, axis=1), 1)


def test_scatter_has_the_density_it_was_asked_for() -> None:
    points = scatter(0.5, 5.0, (1.0, 2.0), np.random.default_rng(0))
    assert len(points) == pytest.approx(np.pi * 25 / 0.25, rel=0.05)
    assert (np.hypot(*(points - (1.0, 2.0)).T) < 5).all()


def test_colonise_reaches_the_targets_and_keeps_out_of_forbidden_ground() -> None:
    rng = np.random.default_rng(0)
    tree = Skeleton()
    tree.add_path(np.stack([np.linspace(-4, 4, 60), np.zeros(60)], 1))
    targets = scatter(0.5, 3.0, (0.0, 0.0), rng)
    targets = targets[np.hypot(*(targets - (0, 1.5)).T) > 1.2]
    colonise(
        tree,
        targets,
        0.5,
        allowed=lambda xy: np.hypot(xy[:, 0], xy[:, 1] - 1.5) > 1.0,
        guide=np.zeros_like,
        forks=3.0,
        rng=rng,
    )
    before = np.abs(targets[:, 1])  # distance to the path that the tree started with
    near = cKDTree(tree.xy).query(targets)[0]
    assert np.mean(near < 0.5) > 0.7
    assert np.mean(near < 0.5) > 2 * np.mean(before < 0.5)
    assert (np.hypot(tree.xy[:, 0], tree.xy[:, 1] - 1.5) > 1.0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_same_seed_same_eye(seed: int) -> None:
    first = make_eye(seed)
    make_eye.cache_clear()
    second = make_eye(seed)
    assert first is not second
    for name in ("start", "end", "radius", "artery"):
        np.testing.assert_array_equal(getattr(first.vessels, name), getattr(second.vessels, name))
    np.testing.assert_array_equal(first.bifurcations, second.bifurcations)


def test_other_seeds_give_other_eyes() -> None:
    assert make_eye(1).vessels.start.shape != make_eye(2).vessels.start.shape


@pytest.mark.parametrize("seed", SEEDS)
def test_no_vessel_in_the_avascular_zone(seed: int) -> None:
    eye = make_eye(seed)
    middle = (eye.vessels.start + eye.vessels.end) / 2
    inside = np.hypot(*middle.T) < 0.6 * eye.faz_radius(middle)
    assert not inside.any()


@pytest.mark.parametrize("seed", SEEDS)
def test_anatomy_has_the_usual_sizes(seed: int) -> None:
    eye = make_eye(seed)
    widest = {kind: 2000 * eye.vessels.radius[eye.vessels.artery == kind].max() for kind in (0, 1)}
    assert 80 < widest[1] < 130  # arteries, µm
    assert widest[1] < widest[0] < 170  # veins
    assert 3.8 < abs(eye.disc[0]) < 5.2
    assert 0.15 < eye.faz.mean() < 0.55
    near_disc = np.hypot(*(eye.vessels.start - eye.disc).T) < eye.disc_radius
    assert eye.vessels.radius[near_disc].mean() > 1.5 * eye.vessels.radius.mean()


def test_arteries_and_veins_lie_between_one_another() -> None:
    """Veins keep off arteries: they lie on them less often than veins of a mirrored eye would."""
    shares = []
    for seed in range(6):
        vessels = make_eye(seed).vessels
        macula = np.hypot(*vessels.start.T) < 3
        arteries = cKDTree(vessels.start[macula & vessels.artery])
        veins = vessels.start[macula & ~vessels.artery]
        shares.append([np.mean(arteries.query(v)[0] < 0.04) for v in (veins, veins * (-1, 1))])
    own, mirrored = np.mean(shares, axis=0)
    assert own < 0.92 * mirrored


def test_murray_exponent_is_within_what_is_measured() -> None:
    assert 2.5 <= MURRAY <= 4.0
