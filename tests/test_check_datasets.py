"""`imedbench check` of data sets: each planted fault is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imedbench.core.registry import load_plugin_file
from imedbench.runs.conformance import Limits, Report, check_dataset

# A data set without a fault; each planted one replaces something in it.
GOOD = '''
import numpy as np
from imedbench.core.datasets import DatasetInfo, MissingSplit, PairRef
from imedbench.core.registry import DATASETS
from imedbench.core.transforms import Affine
from imedbench.core.types import GroundTruth, Image, ImagePair

TRUE = Affine([[1, 0, 6], [0, 1, -3]])
rng = np.random.default_rng(1)
buffer = np.zeros((40, 60), np.uint8)


@DATASETS.register("NAME")
class Data:
    """Noise, moved.

    Args:
        pairs: how many.
    """

    info = DatasetInfo("NAME", "noise")

    def __init__(self, *, pairs: int = 3) -> None:
        self.pairs = pairs

    def refs(self, split):
        if split != "multi-modal":
            raise MissingSplit("it has one modality only")
        return [
            PairRef(f"p{i}", split, "train" if i == 0 else "test", f"eye-{i}", "cf", "octa")
            for i in range(self.pairs)
        ]

    def load(self, ref):
        draw = np.random.default_rng(int(ref.pair_id[1:]))
        fixed = draw.integers(0, 255, (40, 60, 3), np.uint8)
        moving = draw.integers(0, 255, (50, 70), np.uint8)
        mask = fixed[..., 1] > 128
        points = np.array([[10.0, 20], [40, 30], [45, 12]])
        truth = GroundTruth(points, TRUE.apply(points), mask, None, TRUE)
        return ImagePair(
            ref.pair_id, Image(fixed, "cf"), Image(moving, "octa"), truth, ref.group, ref.subset
        )
'''

FAULTS = {
    "no_pairs": ("range(self.pairs)", "range(0)", "it has no pair in any split"),
    "no_split": (
        'raise MissingSplit("it has one modality only")', 'raise KeyError(split)',
        "for a split it lacks, raise MissingSplit('why')",
    ),
    "generator": (
        "return [\n            PairRef", "yield from [\n            PairRef",
        "returned a generator; return a list of PairRef",
    ),
    "tuples": ("PairRef(f", "(f", "refs lists a tuple; list PairRef(…)"),
    "twice": ('f"p{i}"', '"p1"', "two pairs have the id 'p1'"),
    "other_split": ('f"p{i}", split', 'f"p{i}", "single-modal"', "with the split 'single-modal'"),
    "subset": ('"train" if', '"training" if', "subset is 'training'; say train or test"),
    "shuffled": (
        "for i in range(self.pairs)", "for i in rng.permutation(range(20, 40))",
        "two calls list other pairs, or in another order",
    ),
    "leak": ('f"eye-{i}"', '"eye"', "'eye' is in train and in test: split by eye or patient"),
    "no_eye": ('f"eye-{i}"', '""', "group is empty; name the eye"),
    "pair_id": ("            ref.pair_id, Image", "            'p', Image", "load returns 'p'"),
    "modality": ('Image(moving, "octa")', "Image(moving)", "load returns 'unknown'"),
    "subset_lost": ("truth, ref.group, ref.subset", "truth, ref.group",
                    "subset: refs lists 'train', load returns 'test'"),
    "arrays": ("return ImagePair(", "return (", "load returned a tuple; return ImagePair(…)"),
    "floats": ("Image(moving,", "Image(moving / 255,", "an image must be uint8"),
    "unit": ("Image(moving,", "Image((moving > 128).astype(np.uint8),",
             "has no level above 1; grey levels are uint8 from 0 to 255"),
    "blank": ("Image(moving,", "Image(0 * moving,", "the moving image is all one grey"),
    "mask_size": ("> 128\n        points", "[:30] > 128\n        points",
                  "is H×W = (40, 60), its vessel mask"),
    "mask_type": ("TRUE.apply(points), mask", "TRUE.apply(points), 255 * mask", "masks are bool"),
    "outside": ("[45, 12]]", "[45, 99]]", "landmark 3 at"),
    "rows_columns": (
        "GroundTruth(points, TRUE.apply(points)",
        "GroundTruth(points[:, ::-1], TRUE.apply(points)[:, ::-1]",
        "points are (x, y), these look like (row, column)",
    ),
    "inverse": ("mask, None, TRUE)", "mask, None, TRUE.inverse())",
                "it is the inverse of the right one"),
    "off": ("mask, None, TRUE)", "mask, None, Affine.identity())", "landmarks 6.7 px off"),
    "chance": ("np.random.default_rng(int(ref.pair_id[1:]))", "rng", "loaded twice it is not"),
    "shared_buffer": (
        "moving = draw", "moving = buffer; moving[:] = draw.integers(0, 255, (40, 60)); draw",
        "loading changes a pair handed out before",
    ),
    "undocumented": ("        pairs: how many.\n", "", "option pairs is documented nowhere"),
    "info": ('info = DatasetInfo("NAME", "noise")', 'info = "noise"', "info is a str"),
    "prints": ("draw = np", "print('loading'); draw = np", "it prints 'loading'"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else leaves a file there meanwhile, which would be the plugin's fault."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def checked(text: str, name: str, folder: Path, seconds: float = 60.0) -> Report:
    path = folder / f"{name}.py"
    path.write_text(text.replace("NAME", name))
    load_plugin_file(path)
    return check_dataset(name, Limits(seconds))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(
    fault: str, tmp_path: Path, short_lived_plugins: None
) -> None:
    right, wrong, expected = FAULTS[fault]
    assert right in GOOD
    report = checked(GOOD.replace(right, wrong, 1), fault, tmp_path)
    texts = [f"{found.check}: {found.text}" for found in report.faults]
    assert any(expected in text for text in texts), texts


def test_a_good_data_set_has_no_fault_and_the_line_named_is_the_authors(
    tmp_path: Path, short_lived_plugins: None
) -> None:
    report = checked(GOOD, "good", tmp_path)
    assert not report.faults
    assert "single-modal: it has one modality only" in report.remarks
    assert "the exact transform takes moving landmarks to fixed ones" in report.passed
    bad = checked(GOOD.replace("draw = np", "draw = {}[ref.pair_id]; draw = np"), "bad", tmp_path)
    assert [fault.check for fault in bad.faults] == ["load"] * 3
    assert "KeyError: 'p0'" in bad.faults[0].text
    assert "draw = {}[ref.pair_id]" in bad.faults[0].line


def test_our_own_data_sets_keep_to_it(tmp_path: Path, write_manifest: Callable[..., Path]) -> None:
    for name in (
        "synthetic:size=96:pairs=2",
        f"manifest:root={write_manifest(tmp_path, ['cf', 'fa'])}",
    ):
        report = check_dataset(name)
        assert not report.faults, report.faults
