"""`import imedbench as ib`: the examples that the documentation gives."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imedbench as ib
from imedbench.core.errors import BadInput
from imedbench.core.images import write_image
from imedbench.core.metrics import MetricInfo, RegisteredPair, register_metric
from imedbench.core.transforms import Affine, DenseField
from imedbench.core.types import Image, Registration
from imedbench.datasets.synthetic.pairs import make_pair


def test_a_pair_is_aligned_from_arrays_and_from_files(tmp_path: Path) -> None:
    pair = make_pair(3, "easy", size=256)
    found = ib.register(pair.fixed.pixels, pair.moving.pixels, method="imed")
    assert found
    assert found.transform is not None
    assert pair.truth.moving_points is not None
    off = found.transform.apply(pair.truth.moving_points) - pair.truth.fixed_points
    assert np.linalg.norm(off, axis=1).mean() < 1.5
    assert found.warped().shape[:2] == pair.fixed.shape
    assert found.confidence is not None
    assert "confidence 0.9" in repr(found) or "confidence 1.00" in repr(found)
    for name, image in (("fixed", pair.fixed), ("moving", pair.moving)):
        write_image(tmp_path / f"{name}.png", image.pixels)
    again = ib.register(tmp_path / "fixed.png", str(tmp_path / "moving.png"))
    assert again.transform is not None
    np.testing.assert_allclose(again.transform.apply([[9, 9]]), found.transform.apply([[9, 9]]))


def test_a_function_is_a_method_and_a_failure_says_why() -> None:
    picture = np.zeros((40, 50), np.uint8)
    picture[10:20, 12:30] = 200

    def shift(fixed: Image, moving: Image) -> Registration:
        return Registration(Affine([[1, 0, 3], [0, 1, 0]]))

    found = ib.register(picture, picture, shift)
    np.testing.assert_array_equal(found.warped()[:, 3:], picture[:, :-3])
    lost = ib.register(picture, picture, lambda fixed, moving: Registration.failed("too dark"))
    assert not lost
    assert (lost.outcome, lost.reason) == ("no_transform", "too dark")
    with pytest.raises(BadInput, match="no transform to warp by: too dark"):
        lost.warped()
    broken = ib.register(picture, picture, lambda fixed, moving: None)  # type: ignore[arg-type,return-value]
    assert broken.outcome == "crash"
    with pytest.raises(BadInput, match="did you mean"):
        ib.register(picture, picture, "sfit")


def test_a_benchmark_gives_tables(write_manifest: Callable[..., Path], tmp_path: Path) -> None:
    data = write_manifest(tmp_path / "data", ["cf"] * 3)
    run = ib.benchmark(
        ["identity", "sift"], data=str(data), out=tmp_path / "run", splits=["multi-modal"]
    )
    frame, summary = run.frame(), run.summary()
    assert set(frame["method"]) == {"identity", "sift"}
    assert list(summary["method"]) == ["identity", "sift"]
    assert (summary["n"] == 3).all()
    rows = run.compare("identity", "sift")
    assert "tre_mean" in set(rows["metric"])
    assert run.report("md").is_file()
    assert "sift" in repr(run)
    assert "<table" in run._repr_html_()
    assert run.plot()._repr_png_().startswith(b"\x89PNG")
    assert run.plot("outcomes").save(tmp_path / "outcomes.svg").stat().st_size > 1000
    with pytest.raises(BadInput, match="no chart 'pie' of this run; it has: cumulative"):
        run.plot("pie")
    assert run.rows("p1", "sift")[0].outcome == "ok"
    again = ib.Results(tmp_path / "run")
    assert len(again.frame()) == len(frame)


SCRIPT = """
import sys

import imedbench as ib
from imedbench.core.methods import register_method
from imedbench.core.transforms import Affine, DenseField
from imedbench.core.types import MethodInfo, Registration

# FIRST LINE
STEP = 2.0


def move(fixed, moving):
    \"\"\"Move right.\"\"\"
    return Registration(Affine([[1, 0, step()], [0, 1, 0]]))


def step():
    return STEP


@register_method(MethodInfo("decorated", "moves right", "affine"))
def decorated(fixed, moving, *, far: float = 1.0):
    return Registration(Affine([[1, 0, far], [0, 1, 0]]))


def broken(fixed, moving):
    return fixed + moving


class Still:
    info = MethodInfo("still", "does nothing", "affine")

    def prepare(self, device):
        self.ready = True

    def register(self, fixed, moving):
        assert self.ready
        return Registration(Affine.identity())


run = ib.benchmark(
    [move, "decorated:far=2", decorated, Still(), broken],
    data=sys.argv[1],
    out="run",
    splits=["multi-modal"],
    metrics=["tre_mean"],
)
frame = run.frame()
print(frame.set_index("method")["tre_mean"].to_dict())
print(run.rows("p0", "broken")[0])
"""


def test_what_a_script_without_a_guard_defines_runs_in_other_processes(
    write_manifest: Callable[..., Path], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    data = write_manifest(tmp_path / "data", ["cf"])
    script = tmp_path / "script.py"

    def run(text: str) -> subprocess.CompletedProcess[str]:
        script.write_text(text)
        return subprocess.run(
            [sys.executable, script.name, str(data)],
            capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip

    done = run(SCRIPT)
    assert done.returncode == 0, done.stderr
    scores, *row = done.stdout.splitlines()
    assert scores == (
        "{'move': 0.0, 'decorated:far=2': 0.0, 'decorated': 1.0, 'still': 2.0, 'broken': nan}"
    )
    assert "at script.py:28" in row[0]
    assert "return fixed + moving" in "\n".join(row)

    moved = run(SCRIPT.replace("# FIRST LINE", "# a comment\n"))
    assert moved.returncode == 0, "no answer depends on where a function stands"
    changed = run(SCRIPT.replace("self.ready = True", "self.ready = 1"))
    assert "row of still on p0 was made with other code" in changed.stderr
    changed = run(SCRIPT.replace("STEP = 2.0", "STEP = 3.0"))
    assert "row of move on p0 was made with" in changed.stderr, "it does on what the function uses"
    assert "recompute=True" in changed.stderr

    kept = tmp_path / "run" / "functions" / "decorated.py"
    again = cli(
        *("run", "--plugin", kept, "--methods", "decorated:far=2", "--data", data),
        *("--out", tmp_path / "again", "--split", "multi-modal", "--metrics", "tre_mean"),
    )
    assert again.code == 0, again.err


MEASURED = """
import sys

import imedbench as ib
from imedbench.core.metrics import MetricInfo, RegisteredPair, register_metric

FACTOR = 2.0


@register_metric(MetricInfo("typed", "in a cell"))
def typed(case: RegisteredPair) -> float:
    return times() * len(case.truth.fixed_points)


def times():
    return FACTOR


for _ in range(2):
    run = ib.benchmark("identity", sys.argv[1], "run", metrics=["typed"], splits=["multi-modal"])
    print(run.frame()["typed"].tolist())
"""


def test_a_metric_of_a_script_is_measured_in_another_process_and_again_when_it_changes(
    write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    data = write_manifest(tmp_path / "data", ["cf"])
    n_landmarks = 3
    script = tmp_path / "script.py"
    for factor in (2.0, 3.0):
        script.write_text(MEASURED.replace("FACTOR = 2.0", f"FACTOR = {factor}"))
        done = subprocess.run(
            [sys.executable, script.name, str(data)],
            capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"[{factor * n_landmarks}]\n" * 2


def test_a_method_in_a_process_of_its_own_may_hang_or_be_a_function() -> None:
    picture = np.zeros((40, 50), np.uint8)

    def hang(fixed: Image, moving: Image) -> Registration:
        while True:
            pass

    hung = ib.register(picture, picture, hang, timeout_s=0.3)
    assert (hung.outcome, hung.latency_ms, bool(hung)) == ("timeout", None, False)
    assert repr(hung) == f"<Alignment timeout: {hung.reason}>"


def test_a_folder_is_aligned_from_python(tmp_path: Path) -> None:
    pair = make_pair(3, "easy", size=128)
    (tmp_path / "scans").mkdir()
    for kind, image in (("cf", pair.fixed), ("octa", pair.moving)):
        write_image(tmp_path / "scans" / f"a_{kind}.png", image.pixels)
    done = ib.align(tmp_path / "scans", tmp_path / "out", "identity")
    assert repr(done) == f"<AlignedSet {tmp_path / 'out'}: 1 of 1 pairs aligned>"
    assert done.table.is_file()
    assert done.sheets[0].is_file()
    assert not done.unanswered
    with pytest.raises(BadInput, match="no setting 'limits'; did you mean limit"):
        ib.align(tmp_path / "scans", limits=3)


class _Locked:
    """A metric that cannot go to another process."""

    __module__ = "__main__"  # as of a notebook

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, case: RegisteredPair) -> float:
        return 1.0


def test_what_cannot_be_handed_over_is_said_at_once(
    tmp_path: Path, short_lived_plugins: None
) -> None:
    lock = threading.Lock()

    def locked(fixed: Image, moving: Image) -> Registration:
        with lock:
            return Registration.failed("no")

    def sift(fixed: Image, moving: Image) -> Registration:
        return Registration.failed("no")

    wrong: list[tuple[Any, str]] = [
        (lambda fixed, moving: None, "define|made by def"),
        (3, "no method; give names"),
        (locked, "cannot be handed to another process"),
        (sift, "'sift' is already taken by imedbench.methods"),
        ("sfit", "did you mean"),
    ]
    for method, message in wrong:
        with pytest.raises(BadInput, match=message):
            ib.benchmark([method], data="synthetic:size=64:pairs=1", out=tmp_path / "run")
    register_metric(MetricInfo("locked", "in a cell"))(_Locked())
    with pytest.raises(BadInput, match="metric 'locked' cannot be handed to another process"):
        ib.benchmark("sift", "synthetic:size=64:pairs=1", tmp_path / "run", metrics=["locked"])
    with pytest.raises(BadInput, match="no setting 'limits'; did you mean limit"):
        ib.benchmark("sift", limits=3)
    assert not (tmp_path / "run" / "run.json").exists()


def test_reprs_say_what_a_thing_is() -> None:
    image = Image(np.zeros((4, 6, 3), np.uint8), "cf")
    assert repr(image) == "<Image 6×4 px, colour, cf>"
    move = Affine([[1, 0, 5], [0, 1, 0]])
    assert repr(move) == "Affine(matrix=[[1, 0, 5], [0, 1, 0], [0, 0, 1]])"
    field = DenseField(np.zeros((8, 9, 2)))
    assert repr(field) == "DenseField(displacement=<8×9×2 numbers>)"
    found = ib.register(np.full((600, 50), 80, np.uint8), np.zeros((40, 40), np.uint8), "identity")
    page = found._repr_html_()
    assert "&lt;Alignment ok: Affine(matrix=" in page
    assert "data:image/png;base64," in page
    lost = ib.register(image, image, lambda fixed, moving: 1 / 0)
    assert "ZeroDivisionError" in lost._repr_html_()
    assert "1 / 0" in lost.traceback


def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    file = Path(__file__).parents[1] / "docs" / "tutorials" / "python.ipynb"
    if not file.is_file():
        pytest.skip("not run from a checkout")
    notebook = nbformat.read(file, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are stripped"
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=240, resources=place).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown), "plot() shows a chart"
    printed = "".join(output.get("text", "") for output in shown)
    assert "at <cell of broken>:3" in printed
    assert "difference = fixed - moving" in printed
    assert (tmp_path / "runs" / "broken" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "light"),
    [(["-c", "import imedbench"], {"typer"}), (["-m", "imedbench", "--help"], set())],
    ids=["import", "help"],
)
def test_importing_and_help_load_nothing_heavy(arguments: list[str], light: set[str]) -> None:
    heavy = {"numpy", "torch", "cv2", "pandas", "scipy", "matplotlib", "kornia", "PIL"} | light
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "imedbench" in loaded
    assert loaded & heavy == set()


def test_what_the_package_offers_is_listed() -> None:
    assert {"register", "align", "benchmark", "Results", "conversions"} <= set(dir(ib))
    with pytest.raises(AttributeError, match="no attribute 'registr'"):
        _ = ib.registr
