"""SuperGlue and its optimal transport against independent implementations."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imedbench.methods.networks import superglue
from imedbench.methods.networks.checkpoints import superglue_state
from imedbench.methods.networks.keypoints import Keypoints
from imedbench.methods.networks.sinkhorn import log_assignment, sinkhorn_potentials
from imedbench.methods.networks.superglue import (
    SuperGlue,
    SuperGlueConfig,
    lean_on_descriptors,
    mutual_matches,
)

TOLERANCE = 1e-4

SMALL = SuperGlueConfig(width=128, encoder_sizes=(32, 64, 128), layers=5, sinkhorn_iterations=30)


def keypoints(batch: int, count: int, dim: int = 256, seed: int = 0) -> Keypoints:
    """Random keypoints in a 120×90 image, all of them valid."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(batch, count, 2, generator=generator) * torch.tensor([120.0, 90.0])
    descriptors = torch.randn(batch, count, dim, generator=generator)
    return Keypoints(
        points,
        torch.rand(batch, count, generator=generator),
        torch.nn.functional.normalize(descriptors, dim=2),
        torch.ones(batch, count, dtype=torch.bool),
    )


def padded(found: Keypoints, by: int) -> Keypoints:
    """The same keypoints followed by rubbish that is marked as padding."""
    pad = torch.nn.functional.pad
    return Keypoints(
        pad(found.points, (0, 0, 0, by), value=7.0),
        pad(found.scores, (0, by), value=0.4),
        pad(found.descriptors, (0, 0, 0, by), value=3.0),
        pad(found.valid, (0, by), value=False),
    )


def shake(model: torch.nn.Module, seed: int = 1) -> None:
    """Random weights of a size at which every layer matters, norm statistics included."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.xavier_normal_(module.weight, gain=0.8)
            torch.nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)


@pytest.fixture(scope="module")
def reference():
    transformers = pytest.importorskip("transformers", reason="the extra [hub] is not installed")
    model = transformers.SuperGlueForKeypointMatching(transformers.SuperGlueConfig())
    shake(model)
    model.bin_score.data.fill_(1.7)
    return model.eval()


@torch.inference_mode()
def test_assignment_equals_that_of_transformers(reference):
    ours = SuperGlue().eval()
    ours.load_state_dict(superglue_state(reference.state_dict()))
    a, b = keypoints(2, 60, seed=1), keypoints(2, 60, seed=2)
    found = mutual_matches(ours(a, b, (120, 90), (120, 90)), threshold=0.0)
    both = {
        name: torch.stack((getattr(a, name), getattr(b, name)), dim=1)
        for name in ("points", "descriptors", "scores")
    }
    matches, scores, *_ = reference._match_image_pair(
        both["points"], both["descriptors"], both["scores"], 90, 120
    )
    assert (matches[:, 0] >= 0).sum() > 20
    assert torch.equal(found.index, matches[:, 0])
    torch.testing.assert_close(found.scores, scores[:, 0], atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_whole_assignment_matrix_equals_that_of_transformers(reference, monkeypatch):
    from transformers.models.superglue import modeling_superglue

    seen = []
    original = modeling_superglue.log_optimal_transport
    monkeypatch.setattr(
        modeling_superglue,
        "log_optimal_transport",
        lambda *args, **kwargs: seen.append(original(*args, **kwargs)) or seen[-1],
    )
    ours = SuperGlue().eval()
    ours.load_state_dict(superglue_state(reference.state_dict()))
    a, b = keypoints(1, 50, seed=3), keypoints(1, 50, seed=4)
    found = ours(a, b, (120, 90), (120, 90))
    stacked = [
        torch.stack((x, y), dim=1)
        for x, y in ((a.points, b.points), (a.descriptors, b.descriptors), (a.scores, b.scores))
    ]
    reference._match_image_pair(*stacked, 90, 120)
    torch.testing.assert_close(found, seen[0], atol=TOLERANCE, rtol=TOLERANCE)


def test_weights_of_the_authors_layout_give_the_same_network():
    ours = SuperGlue(SuperGlueConfig(width=16, descriptor_dim=16, encoder_sizes=(8,), layers=1))
    shake(ours)
    theirs = authors_layout(ours.state_dict(), heads=4)
    back = superglue_state(theirs, heads=4)
    assert back.keys() == ours.state_dict().keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(back[name], value), name


def authors_layout(state: dict[str, torch.Tensor], heads: int) -> dict[str, torch.Tensor]:
    """As the authors hold it: 1-D convolutions, head = channel modulo the number of heads."""
    result = {}
    names = {"query": "attn.proj.0", "key": "attn.proj.1", "value": "attn.proj.2"}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "position":
            name = ".".join(["kenc.encoder", *parts[1:]])
        elif parts[0] == "output":
            name = "final_proj." + parts[1]
        elif parts[0] == "layers":
            part = names.get(parts[2], {"merge": "attn.merge"}.get(parts[2], parts[2]))
            name = ".".join(["gnn.layers", parts[1], part, *parts[3:]])
            if parts[2] in names or name.endswith("merge.weight"):
                per_head = value.shape[-1 if parts[2] == "merge" else 0] // heads
                order = [h * per_head + d for d in range(per_head) for h in range(heads)]
                value = value[:, order] if parts[2] == "merge" else value[order]
        if value.ndim == 2:
            value = value[:, :, None]
        result[name] = value
    return result


@torch.inference_mode()
def test_padding_changes_nothing():
    network = SuperGlue(SMALL).eval()
    shake(network)
    a, b = keypoints(1, 30, seed=5), keypoints(1, 24, seed=6)
    plain = network(a, b, (120, 90), (120, 90))
    wide = network(padded(a, 5), padded(b, 9), (120, 90), (120, 90))
    kept = wide[:, [*range(30), -1]][:, :, [*range(24), -1]]
    torch.testing.assert_close(kept, plain, atol=1e-4, rtol=1e-4)
    assert wide[:, 30:-1, :24].max() < -1000


@torch.inference_mode()
def test_no_keypoints_give_no_matches():
    network = SuperGlue(SMALL).eval()
    found = mutual_matches(network(keypoints(1, 0), keypoints(1, 4), (9, 9), (9, 9)))
    assert found.index.shape == (1, 0)
    found = mutual_matches(network(keypoints(1, 4), keypoints(1, 0), (9, 9), (9, 9)))
    assert found.index.tolist() == [[-1] * 4]
    nothing = padded(keypoints(1, 0), 3)
    found = mutual_matches(network(nothing, keypoints(1, 4), (9, 9), (9, 9)))
    assert found.index.tolist() == [[-1] * 3]


def plain_log_sinkhorn(cost, log_mu, log_nu, iterations):
    """Textbook iteration in log space, float64."""
    u, v = torch.zeros_like(log_mu), torch.zeros_like(log_nu)
    for _ in range(iterations):
        u = log_mu - torch.logsumexp(cost + v[:, None, :], dim=2)
        v = log_nu - torch.logsumexp(cost + u[:, :, None], dim=1)
    return cost + u[:, :, None] + v[:, None, :]


@settings(max_examples=25, deadline=None)
@given(
    spread=st.floats(0.1, 60.0),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    iterations=st.integers(1, 45),
    seed=st.integers(0, 99),
)
def test_potentials_equal_the_textbook_iteration(spread, rows, columns, iterations, seed):
    generator = torch.Generator().manual_seed(seed)
    cost = torch.randn(2, rows, columns, generator=generator, dtype=torch.float64) * spread
    log_mu = torch.randn(2, rows, generator=generator, dtype=torch.float64).log_softmax(1)
    log_nu = torch.randn(2, columns, generator=generator, dtype=torch.float64).log_softmax(1)
    u, v = sinkhorn_potentials(cost.float(), log_mu.float(), log_nu.float(), iterations)
    found = (cost + u[:, :, None] + v[:, None, :]).exp()
    expected = plain_log_sinkhorn(cost, log_mu, log_nu, iterations).exp()
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-2)


def test_assignment_has_its_marginals():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 6, 4, generator=generator) * 2
    valid = torch.ones(1, 6, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)
    mass = log_assignment(scores, torch.tensor(0.5), *valid, iterations=200).exp()[0]
    np.testing.assert_allclose(mass.sum(1).numpy(), [1] * 6 + [4], atol=1e-3)
    np.testing.assert_allclose(mass.sum(0).numpy(), [1] * 4 + [6], atol=1e-3)


def test_sure_matches_are_found_and_strangers_go_to_the_dustbin():
    scores = torch.full((1, 3, 3), -5.0)
    scores[0, 0, 2] = scores[0, 1, 0] = 12.0
    every = torch.ones(1, 3, dtype=torch.bool)
    found = mutual_matches(log_assignment(scores, torch.tensor(1.0), every, every, 50))
    assert found.index.tolist() == [[2, 0, -1]]
    assert found.scores[0, :2].min() > 0.9
    assert found.scores[0, 2] == 0


def test_loss_on_the_assignment_moves_every_weight():
    network = SuperGlue(SMALL)
    a, b = keypoints(2, 12, seed=8), keypoints(2, 10, seed=9)
    (-network(a, b, (120, 90), (120, 90))[:, :8, :8].diagonal(dim1=1, dim2=2).mean()).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias on keys shifts all attention logits of a query alike, and softmax forgets it.
    assert all(name.endswith(".key.bias") for name in without)


@torch.inference_mode()
def test_the_descriptors_own_cosine_counts_beside_what_attention_says():
    plain = SuperGlueConfig(width=16, descriptor_dim=16, encoder_sizes=(8,), layers=1)
    leaning = SuperGlue(dataclasses.replace(plain, descriptor_weight=20.0)).eval()
    shake(leaning)
    a, b = padded(keypoints(2, 12, dim=16, seed=1), 3), keypoints(2, 9, dim=16, seed=2)
    said = SuperGlue(plain).eval()
    said.load_state_dict(leaning.state_dict())
    cosine = a.descriptors @ b.descriptors.transpose(1, 2)
    lean_on_descriptors(leaning)
    torch.testing.assert_close(
        similarities(leaning, a, b), 0.5 * similarities(said, a, b) + 20 * cosine
    )
    assert float(leaning.bin_score) == pytest.approx(0.5 * float(said.bin_score) + 8)


def similarities(network: SuperGlue, first: Keypoints, second: Keypoints) -> torch.Tensor:
    """What the optimal transport is asked with."""
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            superglue, "log_assignment", lambda *given: asked.append(given[0]) or given[0]
        )
        network(first, second, (120, 90), (120, 90))
    return asked[0]
