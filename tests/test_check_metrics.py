"""`imedbench check` of metrics: each planted fault is found and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from imedbench.core.registry import METRICS, load_plugin_file
from imedbench.runs.conformance import Limits, Report, check_metric

HEAD = """
import numpy as np
from imedbench.core.metrics import Metric, MetricInfo, register_metric
from imedbench.core.registry import METRICS

LAND = frozenset({"landmarks"})
BOTH = frozenset({"landmarks", "spacing"})
seen = []


def errors(case):
    moved = case.fixed_from_moving.apply(case.truth.moving_points)
    return np.linalg.norm(moved - case.truth.fixed_points, axis=1)

"""
GOOD = "return float(errors(case).mean())"
ON_IMAGES = "a, b = case.views.fixed_grey, case.warped_grey; o = case.overlap; "

# What info says beside name and summary, the body, and words of the fault.
FAULTS = {
    "inverse": (
        "unit='px', needs=LAND",
        "t = case.truth; p = case.fixed_from_moving.inverse().apply(t.moving_points)\n"
        "    return float(np.linalg.norm(p - t.fixed_points, axis=1).mean())",
        "0 px is due where every landmark lies where it belongs",
    ),
    "backwards": (
        "unit='px', needs=LAND",
        "t = case.truth; p = case.moving_from_fixed.apply(t.moving_points)\n"
        "    return float(np.linalg.norm(p - t.fixed_points, axis=1).mean())",
        "it is 0 under the inverse: fixed_from_moving takes moving points to fixed",
    ),
    "no_spacing": ("unit='µm', needs=BOTH", GOOD, "px times case.truth.spacing_um is µm"),
    "squared": (
        "unit='px', needs=LAND",
        "return float((errors(case) ** 2).mean())",
        "5 px is due where every landmark is 5 px off, it gives 25",
    ),
    "wrong_direction": (
        "higher_is_better=True, needs=LAND", GOOD, "set higher_is_better=False"
    ),
    "similarity": (
        "", ON_IMAGES + "return float(np.corrcoef(a[o], b[o])[0, 1])", "set higher_is_better=True"
    ),
    "undeclared": ("unit='px'", GOOD, "needs=frozenset({'landmarks'})"),
    "swapped": (
        "", "return float(case.swapped.apply([[1, 2]]).mean())", "needs=frozenset({'swapped'})"
    ),
    "misspelt": ("needs=frozenset({'landmark'})", GOOD, "needs 'landmark', which no pair offers"),
    "string": ("needs='landmarks'", GOOD, "needs 'landmarks', which no pair offers"),
    "array": ("needs=LAND", "return errors(case)", "a ndarray of shape (16,); return one number"),
    "none": ("", "return None", "returned a NoneType; return one number, float"),
    "truth_value": ("", "return bool(case.overlap.any())", "returned a bool; return one number"),
    "nan": ("", "return float('nan')", "it returned NaN for an ordinary pair"),
    "no_overlap": (
        "", "return 1 / int(case.overlap.sum())", "return float('nan')"
    ),
    "infinite": (
        "",
        "n = int(case.overlap.sum()); return 1.0 / n if n else float('inf')",
        "images that share nothing: it returned inf",
    ),
    "random": ("", "return float(np.random.normal())", "draw nothing at random"),
    "remembers": (
        "needs=LAND",
        "seen.append(float(errors(case).max())); return max(seen[-2:])",
        "its value depends on the pair before",
    ),
    "changes_images": (
        "", ON_IMAGES + "b *= o; return float((a - b).mean())", "it changes what it is given"
    ),
    "changes_points": (
        "needs=LAND",
        "case.truth.moving_points[:] = 0; return float(errors(case).mean())",
        "it changes what it is given",
    ),
    "grey_only": (
        "", "h, w = case.views.pair.fixed.pixels.shape; return float(h)", "colour with grey"
    ),
    "sizes": (
        "",
        "d = case.views.fixed_grey - case.views.moving_grey; return float(abs(d).mean())",
        "images of unequal sizes: ValueError",
    ),
    "prints": ("", "print('here'); return 1.0", "it prints 'here'"),
    "slow": ("", "import time; time.sleep(0.3); return 1.0", "more than the 0.2 s allowed"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else leaves a file there meanwhile, which would be the plugin's fault."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def checked(info: str, body: str, name: str, folder: Path, seconds: float = 60.0) -> Report:
    path = folder / f"{name}.py"
    facts = f"'{name}', 'a planted fault'" + (f", {info}" if info else "")
    decorator = f"@register_metric(MetricInfo({facts}))"
    path.write_text(f"{HEAD}{decorator}\ndef measure(case):\n    {body}\n")
    load_plugin_file(path)
    return check_metric(name, Limits(seconds))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(
    fault: str, tmp_path: Path, short_lived_plugins: None
) -> None:
    info, body, expected = FAULTS[fault]
    report = checked(info, body, fault, tmp_path, 0.2 if fault == "slow" else 60.0)
    texts = [f"{found.check}: {found.text}" for found in report.faults]
    assert any(expected in text for text in texts), texts


def test_the_line_named_is_the_authors(tmp_path: Path, short_lived_plugins: None) -> None:
    report = checked("", "return float(np.linalg.inv(np.zeros((2, 2))).sum())", "deep", tmp_path)
    assert report.faults[0].line.startswith("deep.py:17: return float(np.linalg.inv")
    undeclared = checked("", GOOD, "undeclared_line", tmp_path)
    assert "moved = case.fixed_from_moving.apply(" in undeclared.faults[0].line


def test_a_good_metric_has_no_fault(tmp_path: Path, short_lived_plugins: None) -> None:
    report = checked("unit='px', needs=LAND", GOOD, "good", tmp_path)
    assert not report.faults
    passed = "\n".join(report.passed)
    assert "the right transform scores best: " in passed
    assert "it gives the landmark errors that are known" in passed
    assert "a measurement takes" in passed


@pytest.mark.parametrize("name", METRICS.names())
def test_our_own_metrics_keep_to_it(name: str) -> None:
    if METRICS.factory(name).__module__.startswith("imedbench."):
        report = check_metric(name)
        assert not report.faults, report.faults
