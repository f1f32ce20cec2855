"""Where weights come from, and who may use them."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from imedbench.core.errors import BadInput
from imedbench.methods import licences
from imedbench.methods import weight_sources as sources
from imedbench.methods.networks.superpoint import SuperPoint

FREE = "Apache-2.0"


@pytest.fixture(autouse=True)
def clean_home(monkeypatch, tmp_path):
    """A user who has accepted nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("IMEDBENCH_ACCEPT_LICENSE", raising=False)


@pytest.fixture
def state():
    torch.manual_seed(0)
    return SuperPoint(descriptor_dim=8).state_dict()


def test_free_weights_ask_nothing():
    licences.ask_licence("sp", FREE)
    assert not licences.acceptance_file().exists()


def test_restricted_weights_are_refused_with_their_terms():
    with pytest.raises(BadInput, match=r"^sp: its weights.*non-commercial.*accept_license"):
        licences.ask_licence("sp", licences.MAGIC_LEAP)


def test_acceptance_is_asked_once():
    licences.ask_licence("sp", licences.MAGIC_LEAP, accept=True)
    licences.ask_licence("sp", licences.MAGIC_LEAP)
    assert json.loads(licences.acceptance_file().read_text()) == [licences.MAGIC_LEAP]


def test_acceptance_by_the_environment(monkeypatch):
    monkeypatch.setenv("IMEDBENCH_ACCEPT_LICENSE", "1")
    licences.ask_licence("sp", licences.MAGIC_LEAP)
    assert licences.acceptance_file().is_file()


def test_broken_acceptance_file_is_named():
    path = licences.acceptance_file()
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(BadInput, match=r"accepted_licences\.json"):
        licences.ask_licence("sp", licences.MAGIC_LEAP)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_files_give_what_was_saved(tmp_path, state, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    network = SuperPoint(descriptor_dim=8)
    sources.fill(network, sources.read(sources.SUPERPOINT, str(path)).tensors, str(path))
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name])


def test_card_beside_a_file_says_licence_and_data(tmp_path, state):
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    unknown = sources.Source(sources.UNKNOWN, revision=digest)
    assert sources.describe(sources.SUPERPOINT, str(path)) == unknown
    card = {"licence": FREE, "trained_on": ["a/train"]}
    path.with_suffix(".json").write_text(json.dumps(card))
    known = sources.describe(sources.SUPERPOINT, str(path))
    assert known == sources.Source(FREE, ("a/train",), ours=True, revision=digest)


def test_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    path = tmp_path / "evil.pth"
    torch.save({"x": Evil()}, path)
    with pytest.raises(BadInput, match=r"evil\.pth: cannot be read as weights"):
        sources.read(sources.SUPERPOINT, str(path))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.pth", None, "no such weight file"),
        ("notes.txt", b"x", "not a .pth"),
        ("rubbish.safetensors", b"x", "cannot be read as weights"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=says) as caught:
        sources.read(sources.SUPERPOINT, str(path))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checkpoint_that_is_no_state_dict_is_named(tmp_path):
    torch.save({"model": {"x": torch.zeros(1)}}, tmp_path / "wrapped.pth")
    with pytest.raises(BadInput, match="no plain state dict"):
        sources.read(sources.SUPERPOINT, str(tmp_path / "wrapped.pth"))


def test_weights_of_another_network_are_named(state):
    with pytest.raises(BadInput, match="no weights of this SuperPoint"):
        sources.fill(SuperPoint(descriptor_dim=16), state, "some.pth")


def test_hub_out_of_reach_is_one_clear_message(monkeypatch):
    pytest.importorskip("transformers", reason="the extra [hub] is not installed")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    nobody = sources.Network("x", "nobody/nothing", "SuperPointForKeypointDetection")
    with pytest.raises(BadInput, match=r"nobody/nothing.*cannot be reached") as caught:
        sources.read(nobody, sources.OFFICIAL)
    assert "\n" not in str(caught.value)


def test_official_weights_are_restricted_before_anything_is_fetched():
    assert sources.describe(sources.SUPERPOINT, sources.OFFICIAL).licence == licences.MAGIC_LEAP


def test_official_weights_come_from_the_hub_cache(monkeypatch, tmp_path):
    transformers = pytest.importorskip("transformers", reason="the extra [hub] is not installed")
    model = transformers.SuperPointForKeypointDetection(transformers.SuperPointConfig())
    model.save_pretrained(tmp_path / "hub")
    local = sources.Network("x", str(tmp_path / "hub"), "SuperPointForKeypointDetection")
    tensors = sources.read(local, sources.OFFICIAL).tensors
    assert torch.equal(
        tensors["encoder.conv_blocks.0.conv_a.weight"], model.encoder.conv_blocks[0].conv_a.weight
    )
