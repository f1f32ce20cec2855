"""`imedbench check`: each planted fault is found and named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imedbench.runs.conformance import Limits, Report, check_method

HEAD = """
import numpy as np
from imedbench.core.methods import register_method
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Affine
from imedbench.core.types import MethodInfo, Registration

MOTION = Affine.similarity(scale=1.06, rotation_deg=7, shift=(14, -9), centre=(96, 96))
calls = []
"""
FUNCTION = '''
@register_method(MethodInfo("NAME", "a planted fault", "affine"))
def method(fixed, moving, *, OPTIONS):
    """Answer.

    Args:
        step: of nothing.
    """
    BODY
'''
LOOKS = """sift = METHODS.create("sift")
    sift.prepare("cpu")
    return sift.register(fixed, moving)"""

FAULTS = {
    "inverse": ("return Registration(MOTION.inverse())", "the inverse of the right one"),
    "swapped": (
        "m = MOTION.matrix; return Registration(Affine([[m[1, 1], m[1, 0], m[1, 2]],"
        " [m[0, 1], m[0, 0], m[0, 2]]]))",
        "with x and y swapped",
    ),
    "array": ("return MOTION.matrix", "returned a ndarray of shape (3, 3); return Registration"),
    "none": ("return None", "returned a NoneType; return Registration"),
    "tuple": ("return MOTION, 0.5", "returned a tuple; return Registration"),
    "transform": ("return MOTION", "returned a Affine; return Registration"),
    "image_as_array": ("return Registration(Affine.identity()) if fixed.mean() else None",
                       "its pixels are image.pixels"),
    "image_subscript": ("fixed[0, 0]", "its pixels are image.pixels"),
    "changes_input": ("fixed.pixels[:] = 0; return Registration(MOTION)", "it changes the images"),
    "random": (
        "x = np.random.default_rng().normal(); return Registration(Affine([[1, 0, x], [0, 1, 0]]))",
        "two answers",
    ),
    "remembers": (
        "calls.append(float(fixed.grey().astype(float).mean() + fixed.grey()[5:9, 3:50].mean()));"
        " past = calls[-2:][0]; return Registration(Affine([[1, 0, past / 9], [0, 1, 0]]))",
        "depends on the pair before",
    ),
    "colour": ("h, w = fixed.pixels.shape; return Registration(MOTION)",
               "too many values to unpack (expected 2); of a colour image pixels are H×W×3"),
    "sizes": (
        "d = fixed.grey() - moving.grey(); return Registration(MOTION)",
        "the two images need not be of one size",
    ),
    "blank": (
        "s = 1 / int(moving.grey().max()); return Registration(MOTION)",
        "blank images: ZeroDivisionError: division by zero; where there is nothing to find, return",
    ),
    "writes": (
        "open('debug.txt', 'w').write('x'); return Registration(MOTION)", "writes debug.txt"
    ),
    "writes_by_c": (
        "import cv2; cv2.imwrite('debug.png', fixed.pixels); return Registration(MOTION)",
        "leaves debug.png in the working folder",
    ),
    "network": (
        "import socket\n    try: socket.create_connection(('127.0.0.1', 9), 0.1)\n"
        "    except OSError: pass\n    return Registration(MOTION)",
        "uses the network",
    ),
    "prints": ("print('step 1'); return Registration(MOTION)", "prints 'step 1'"),
    "nan": (
        "t = Affine.identity(); t.matrix = t.matrix * np.nan; return Registration(t)",
        "cannot be right",
    ),
    "confidence": ("return Registration(MOTION, confidence=7)", "confidence must be in [0, 1]"),
    "endless": ("while True: pass", "time: known motion: no end after 1.6 s"),
    "memory": (
        "a = np.ones(40 << 20); return Registration(MOTION)",
        "0.31 GiB of memory, more than the 0.25 GiB allowed",
    ),
    "slow": ("import time; time.sleep(0.4); return Registration(MOTION)", "more than the 0.3 s"),
    "still": (
        "return Registration(Affine.identity())",
        "looking: it returns the same transform for differently warped pairs: it does not look at",
    ),
    "collapse": (
        "return Registration(Affine([[1e-3, 0, 5], [0, 1e-3, 5]]))", "its transform cannot be right"
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else leaves a file there meanwhile, which would be the plugin's fault."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def checked(text: str, name: str, folder: Path, seconds: float = 60.0) -> Report:
    from imedbench.core.registry import load_plugin_file

    path = folder / f"{name}.py"
    path.write_text(HEAD + text)
    load_plugin_file(path)
    return check_method(name, Limits(seconds, memory_gib=0.25))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_lived_plugins: None
) -> None:
    monkeypatch.setattr("imedbench.runs.conformance.side_effects._IDLE", ("/dev/", "/proc/"))
    body, expected = FAULTS[fault]
    text = FUNCTION.replace("BODY", body).replace("OPTIONS", "step=1").replace("NAME", fault)
    report = checked(text, fault, tmp_path, 0.3 if fault in ("slow", "endless") else 60.0)
    texts = [f"{found.check}: {found.text}" for found in report.faults]
    assert any(expected in text for text in texts), texts


@pytest.mark.parametrize(
    ("options", "expected"),
    [("wide=1", "option wide is documented nowhere"), ("step", "option step has no default")],
)
def test_options_without_documentation_or_default_are_named(
    options: str, expected: str, tmp_path: Path, short_lived_plugins: None
) -> None:
    name = f"options_{options[:4]}"
    text = FUNCTION.replace("BODY", "return Registration(MOTION)").replace("OPTIONS", options)
    report = checked(text.replace("NAME", name), name, tmp_path)
    assert expected in report.faults[0].text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("    def __init__(self): raise KeyError('gone')", "KeyError: 'gone'"),
        ("    info = 'mine'\n    def prepare(self, device): ...", "info is a str"),
        (
            "    info = MethodInfo('other', 's', 'affine')\n    def prepare(self, device): ...",
            "info.name is 'other'",
        ),
        (
            "    info = MethodInfo('classy', 's', 'affine', weights='1f')\n"
            "    def prepare(self, device): ...",
            "weights and weights_licence belong together",
        ),
        (
            "    info = MethodInfo('classy', 's', 'affine')\n"
            "    def prepare(self, device): open('/nowhere/weights.pt')",
            "setting up: FileNotFoundError",
        ),
    ],
)
def test_a_class_that_cannot_be_set_up_is_told_why(
    text: str, expected: str, tmp_path: Path, short_lived_plugins: None
) -> None:
    answer = "\n    def register(self, fixed, moving): return Registration(MOTION)\n"
    report = checked(
        f"@METHODS.register('classy')\nclass Classy:\n{text}{answer}", "classy", tmp_path
    )
    texts = [f"{found.check}: {found.text}" for found in report.faults]
    assert any(expected in text for text in texts), texts


def test_a_good_method_has_no_fault_and_the_line_named_is_the_authors(
    tmp_path: Path, short_lived_plugins: None
) -> None:
    good = FUNCTION.replace("BODY", LOOKS).replace("OPTIONS", "step=1")
    report = checked(good.replace("NAME", "good"), "good", tmp_path)
    assert not report.faults
    assert any("from the moving image to the fixed one" in text for text in report.passed)
    assert "its answers depend on what the images show" in report.passed
    inside = "np.linalg.inv(np.zeros((2, 2)))"
    bad = checked(
        FUNCTION.replace("BODY", inside).replace("OPTIONS", "step=1").replace("NAME", "bad"),
        "bad",
        tmp_path,
    )
    assert bad.faults[0].line.startswith("bad.py:")
    assert inside in bad.faults[0].line
    assert "LinAlgError" in bad.faults[0].trace


@pytest.mark.parametrize("name", ["sift", "phase-correlation", "identity", "invert+sift"])
def test_our_own_methods_keep_to_it(name: str) -> None:
    report = check_method(name)
    assert not report.faults
    is_baseline = any("as its family says: a baseline" in text for text in report.remarks)
    assert is_baseline == (name == "identity")


def test_a_method_that_only_looks_at_sizes_is_told_so(
    tmp_path: Path, short_lived_plugins: None
) -> None:
    middles = "return Registration(Affine([[1, 0, fixed.size[0] - moving.size[0]], [0, 1, 0]]))"
    text = FUNCTION.replace("BODY", middles).replace("OPTIONS", "step=1")
    report = checked(text.replace("NAME", "middles"), "middles", tmp_path)
    assert not report.faults
    assert any("looks at the sizes of the images, not at what" in text for text in report.remarks)


def test_the_command_names_faults_and_ends_with_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    body = FUNCTION.replace("BODY", "return None").replace("OPTIONS", "step=1")
    file.write_text(HEAD + body.replace("NAME", "mine"))
    done = subprocess.run(
        [sys.executable, "-m", "imedbench", "check", str(file)],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        "FAULT  known motion: it returned a NoneType; return Registration(transform)" in done.stdout
    )
    assert "also: grey images, colour images, colour with grey" in done.stdout
    assert done.stdout.endswith("mine, a method: 1 fault\n"), "one mistake is told once"
