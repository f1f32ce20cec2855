"""Methods that are programs: what they may answer, and what becomes of every way to fail."""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from imedbench.api import Results
from imedbench.core.registry import METHODS, load_plugin_file
from imedbench.core.types import Image, Method, Outcome
from imedbench.methods.estimators import registration_from_matches
from imedbench.runs.calls import TRACEBACK, CallResult, Task, call_method
from imedbench.runs.services import WorkerSettings
from imedbench.runs.worker import Worker

PROGRAMS = Path(__file__).parent / "programs"
PLUGIN = PROGRAMS / "declared.py"
PAGE = Path(__file__).parent.parent / "docs/reference/programs.md"
RNG = np.random.default_rng(0)
FIXED = Image(RNG.integers(0, 255, (30, 40), np.uint8), "octa")
MOVING = Image(RNG.integers(0, 255, (25, 35, 3), np.uint8), "cf")
TASK = Task(FIXED, MOVING, seed=7)


@pytest.fixture(scope="module", autouse=True)
def _plugin() -> None:
    load_plugin_file(PLUGIN)


def ready(spec: str) -> Method:
    method: Method = METHODS.create(spec)
    method.prepare("cpu")
    return method


def answer(act: str) -> CallResult:
    return call_method(ready(f"acts:act={act}"), TASK)


@pytest.mark.parametrize("act", ["shift", "whole", "dense", "dense_back"])
def test_every_form_of_an_answer_is_the_same_transform(act: str) -> None:
    found = answer(act)
    assert found.outcome is Outcome.OK, found.reason
    assert found.transform is not None
    np.testing.assert_allclose(found.transform.apply([[10, 12]]), [[12, 12]], atol=1e-4)


def test_all_that_a_program_tells_is_kept() -> None:
    found = answer("whole")
    assert (found.confidence, found.stages) == (0.75, {"search": 12.5, "refine": 2.0})
    assert found.details["modality"] == "octa"
    assert found.details["numpy"] == np.__version__
    assert list(found.pictures) == ["map"]
    assert found.matches
    assert found.details["seed"] == answer("whole").details["seed"]


def test_matches_alone_are_enough_where_the_estimate_is_ours() -> None:
    method = METHODS.create("acts:act=match")
    method.estimate = registration_from_matches
    method.prepare("cpu")
    found = call_method(method, TASK)
    assert found.transform is not None, found.reason
    np.testing.assert_allclose(found.transform.apply([[10, 12]]), [[12, 12]], atol=1e-4)
    assert (found.details["n_inliers"], found.details["seen"]) == (20, 1)
    assert "estimate" in found.stages
    method.estimate = None
    assert "exactly one of fixed_from_moving" in call_method(method, TASK).reason


def test_its_random_numbers_are_those_of_the_seed() -> None:
    method = ready("acts:act=draw")
    first, second, other = (call_method(method, Task(FIXED, MOVING, s)) for s in (7, 7, 8))
    shifts = [r.transform.apply([[0, 0]])[0, 0] for r in (first, second, other) if r.transform]
    assert shifts[0] == shifts[1] != shifts[2]


@pytest.mark.parametrize(
    ("act", "outcome", "reason"),
    [
        ("refuse", Outcome.NO_TRANSFORM, "nothing to be seen"),
        ("fail", Outcome.CRASH, "ValueError: a bug in two lines at acts.py:"),
        ("lack", Outcome.OUT_OF_MEMORY, "too many pixels"),
        ("end", Outcome.CRASH, "acts.py ended (exit 3) before it answered; it printed: prepared"),
        ("end", Outcome.CRASH, "a word on stdout harms nobody last words"),
        ("strange", Outcome.CRASH, "the protocol has no 'answer'"),
    ],
)
def test_a_failure_has_one_clear_reason(act: str, outcome: Outcome, reason: str) -> None:
    found = answer(act)
    assert found.outcome is outcome
    assert reason in found.reason
    assert "\n" not in found.reason
    if act == "fail":
        assert 'raise ValueError("a bug' in str(found.details[TRACEBACK])


def test_a_program_that_ended_is_started_again() -> None:
    method = ready("acts:act=end")
    for _ in range(2):
        assert "exit 3" in call_method(method, TASK).reason


def test_a_program_ends_with_its_method_when_all_it_printed_is_passed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    method = ready("acts:act=shift")
    assert call_method(method, TASK).outcome is Outcome.OK
    started = psutil.Process(method._link._process.pid)  # type: ignore[attr-defined]
    del method
    gc.collect()
    assert not started.is_running()
    assert capfd.readouterr().err == "prepared on cpu\na word on stdout harms nobody\n"


# Programs that break the protocol, each a line of Python that answers hello first.

GREET = "read(); write({'type': 'hello', 'protocol': 1, 'number': 1}); read(); "
BREACHES = {
    "print('hello there')": "sent what is no message: stdout is for messages, stderr for",
    "print('h', end='', flush=True); read(); read()": "it wrote 'h",
    "read(); write({'type': 'hello', 'protocol': 9, 'number': 1})": "speaks version 9 of",
    "read(); write({'type': 'refusal', 'number': 1, 'reason': 'no key'})": "no key",
    "pass": "ended (exit 0) before it answered",
    "sys.exit('no such model')": "ended (exit 1) before it answered; it printed: no",
    GREET + "out.write(b'IMED\\xff\\xff\\xff\\xff')": "sent a header of 4294967295 bytes",
    GREET + "out.write(b'IMED\\x02\\0\\0\\0[]')": "sent a header that cannot be read",
    GREET + "out.write(b'IMED\\x09\\0\\0\\0{')": "ended (exit 0) before it answered",
    GREET + "write({'type': 'answer', 'number': 1})": "did not answer what it was asked",
    GREET + "write({'number': 2})": "did not answer what it was asked",
    GREET + "write({'type': 'answer', 'number': 2})": "exactly one of fixed_from_moving, moving",
    GREET + "write({'type': 'answer', 'number': 2, 'fixed_from_moving': 3})": "it is a number",
    GREET + "write({'type': 'answer', 'number': 2, 'refusal': 'x', 'confidence': 2})": "in [0, 1]",
    GREET + "write({'type': 'answer', 'number': 2}, {'fixed_from_moving': np.zeros((2, 2, 2))})": (
        "with the size of the moving image, 25×35×2; it is 2×2×2"
    ),
}


@pytest.mark.parametrize("line", BREACHES)
def test_a_breach_of_the_protocol_is_named(
    line: str, tmp_path: Path, short_lived_plugins: None
) -> None:
    found = run_once(program(tmp_path, line))
    assert found.outcome in (Outcome.CRASH, Outcome.SKIPPED)
    assert BREACHES[line] in found.reason
    assert (found.outcome is Outcome.SKIPPED) == ("refusal', 'number'" in line)


def test_a_command_that_is_not_there_is_skipped(tmp_path: Path, short_lived_plugins: None) -> None:
    plugin = program(tmp_path, "pass")
    plugin.write_text(plugin.read_text().replace(repr(sys.executable), "'no-such-program'"))
    found = run_once(plugin)
    assert found.outcome is Outcome.SKIPPED
    assert found.reason == "no-such-program: cannot be started (No such file or directory)"


def program(folder: Path, line: str) -> Path:
    """A plugin file whose method is a line of Python that speaks the protocol by itself."""
    host = Path(sys.modules["imedbench.core.programs.host"].__file__ or "")
    (folder / "program.py").write_text(
        f"import sys; sys.path[0] = {str(host.parent)!r}\n"
        "import numpy as np, host\n"
        "out = sys.stdout.buffer\n"
        "def read(): return host.read_message(sys.stdin.buffer)\n"
        "def write(*message): host.write_message(out, *message)\n" + line
    )
    plugin = folder / "plugin.py"
    plugin.write_text(
        "from imedbench.core.programs import register_program\n"
        "from imedbench.core.types import MethodInfo\n"
        "@register_program(MethodInfo('breach', 'breaks the protocol', 'affine'),"
        f" command=[{sys.executable!r}, 'program.py'])\n"
        "def breach() -> None: ...\n"
    )
    return plugin


def run_once(plugin: Path, timeout_s: float = 60.0) -> CallResult:
    with closing(Worker(WorkerSettings("breach", [plugin], warm_up=False), timeout_s)) as worker:
        return worker.call(TASK)


# In a worker: time, memory, and nothing left behind.


@pytest.fixture
def in_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts the acting program from a folder of its own, by which its processes are known."""
    shutil.copytree(PROGRAMS, tmp_path / "own")
    plugin, workers = tmp_path / "own" / "declared.py", []

    def start(act: str, timeout_s: float = 60.0, memory_gib: float | None = None) -> Worker:
        settings = WorkerSettings(f"acts:{act}", [plugin], warm_up=False, memory_gib=memory_gib)
        workers.append(Worker(settings, timeout_s))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def serving(folder: Path) -> list[psutil.Process]:
    """Processes that serve the acting file of a folder."""
    file = str(folder / "own" / "acts.py")
    return [p for p in psutil.process_iter(["cmdline"]) if file in (p.info["cmdline"] or [])]


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=20)[1]


def test_a_program_that_hangs_is_one_timeout_and_leaves_nothing(
    in_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    found = in_worker("act=hang", timeout_s=3).call(TASK)
    assert (found.outcome, found.reason) == (Outcome.TIMEOUT, "no answer within 3 s")
    assert gone(serving(tmp_path))


def test_memory_of_the_program_counts(in_worker: Callable[..., Worker]) -> None:
    found = in_worker("act=eat:also=40", memory_gib=1.0).call(TASK)  # 1.25 GiB of ones
    assert (found.outcome, found.reason) == (
        Outcome.OUT_OF_MEMORY,
        "the process took more than 1 GiB",
    )


def test_a_program_dies_with_its_worker(in_worker: Callable[..., Worker], tmp_path: Path) -> None:
    worker = in_worker("act=shift")
    assert worker.call(TASK).outcome is Outcome.OK
    started = serving(tmp_path)
    assert len(started) == 1
    assert worker._process is not None
    worker._process.kill()
    assert gone(started)


# Beside others, in one run.

needs_perl = pytest.mark.skipif(
    subprocess.run(["perl", "-MJSON::PP", "-e1"], capture_output=True).returncode != 0
    if shutil.which("perl")
    else True,
    reason="Perl with JSON::PP is not installed",
)


@needs_perl
def test_programs_run_beside_other_methods(
    cli: Callable[..., Any],
    tmp_path: Path,
    write_manifest: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    short_lived_plugins: None,
) -> None:
    data = write_manifest(tmp_path / "data", ["cf", "cf", "fa"])
    monkeypatch.setenv("IMEDBENCH_ENV_MIDDLES", "")  # taken back afterwards
    for name, text in re.findall(r'title="(.*?)"\n(.*?)```', PAGE.read_text(), re.DOTALL)[:2]:
        (tmp_path / name).write_text(text)
    ended = cli(
        *("run", "--data", data, "--split", "multi-modal", "--out", tmp_path / "run", "--json"),
        *("--methods", "identity,middles,centroids-perl,acts", "--metrics", "tre_mean"),
        *("--plugin", PLUGIN, "--plugin", tmp_path / "plugin.py"),
        *("--env", f"middles={sys.executable}"),
    )
    assert ended.code == 0, ended.err
    rows = Results(tmp_path / "run").frame()
    assert set(rows["outcome"]) == {"ok"}
    by_method = rows.groupby("method")["tre_mean"].mean()
    assert by_method["acts"] < 1e-6
    assert by_method["identity"] == by_method["middles"] == pytest.approx(2)
    expected = [centre_shift(data.parent, n) for n in range(3)]
    got = list(rows[rows["method"] == "centroids-perl"]["tre_mean"])
    np.testing.assert_allclose(sorted(got), sorted(expected), atol=1e-3)
    assert set(rows[rows["method"] == "centroids-perl"]["reason"]) == {""}


def centre_shift(folder: Path, number: int) -> float:
    """The landmark error that laying centres of brightness on each other leaves."""
    from imedbench.core.images import read_image

    centres = []
    for side in ("fixed", "moving"):
        grey = read_image(folder / f"{number}-{side}.png", "cf").grey().astype(float)
        y, x = np.indices(grey.shape)
        centres.append(np.array([(x * grey).sum(), (y * grey).sum()]) / grey.sum())
    return float(np.linalg.norm(centres[0] - centres[1] - [2, 0]))
