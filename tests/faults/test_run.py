"""Whole runs under fire: what is killed, torn, full or in the way loses no row."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from imedbench.core.transforms import to_bytes
from imedbench.core.types import Outcome
from imedbench.runs.rows import Prediction
from imedbench.runs.store import Store

WriteManifest = Callable[..., Path]
HOSTILE = Path(__file__).parent / "hostile.py"
ONE_SPLIT = ("--split", "multi-modal", "--metrics", "tre_mean", "--no-page")


def command(data: Path, out: Path, *more: object) -> list[str]:
    program = [sys.executable, "-m", "imedbench", "run", "--data", data, "--out", out]
    return list(map(str, [*program, *ONE_SPLIT, *more]))


def ended(words: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(words, capture_output=True, text=True, check=False, **how)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def rows(folder: Path) -> dict[tuple[str, str], Prediction]:
    store = Store(folder)
    found = {(p.method, p.pair_id): p for p in store.predictions()}
    store.close()
    return found


def facts(folder: Path) -> dict[tuple[str, str], tuple[object, ...]]:
    """What two runs must agree on to the byte: everything but times."""
    return {
        name: (p.key, p.outcome, p.reason, p.transform and to_bytes(p.transform), p.confidence)
        for name, p in rows(folder).items()
    }


def group_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in group_of(process):
        try:
            if any("worker_main" in word for word in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def wait_until(true: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := true():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


# What methods do, seen from the end of the chain

ACTS = {
    "": Outcome.OK,
    "fork_return": Outcome.OK,
    "pipe_partial": Outcome.TIMEOUT,
    "t_segv": Outcome.CRASH,
    "t_late": Outcome.OK,
    "conf_f32": Outcome.OK,
    "reason_math": Outcome.NO_TRANSFORM,
    "reason_nul": Outcome.NO_TRANSFORM,
    "reason_ansi": Outcome.NO_TRANSFORM,
    "diag_none": Outcome.CRASH,
    "exc_multiline": Outcome.CRASH,
    "diag_nanval": Outcome.OK,
    "diag_wide": Outcome.OK,
    "stages": Outcome.OK,
    "stdout10": Outcome.OK,
    "random": Outcome.OK,
}


@pytest.fixture(scope="module")
def under_fire(
    tmp_path_factory: pytest.TempPathFactory, write_manifest: WriteManifest
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run in which most pairs make the method do harm."""
    folder = tmp_path_factory.mktemp("fire")
    data, out = write_manifest(folder / "data", list(ACTS)), folder / "run"
    methods = ("--methods", "identity,hostile", "--plugin", HOSTILE, "--timeout", 3)
    return out, ended(command(data, out, *methods))


def test_every_pair_gets_its_own_row(
    under_fire: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, run = under_fire
    assert run.returncode == 3
    found = rows(out)
    for number, (act, outcome) in enumerate(ACTS.items()):
        row = found["hostile", f"p{number}"]
        assert row.outcome is outcome, f"{act}: {row.reason}"
        if outcome is Outcome.OK and act not in ("random", "t_late"):
            assert row.transform is not None
            assert row.transform.apply([[0, 0]]).round(3).tolist() == [[1, 0]], act
        assert found["identity", f"p{number}"].outcome is Outcome.OK


def test_what_methods_print_is_in_the_log_and_not_on_the_terminal(
    under_fire: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, run = under_fire
    assert len(run.stdout) + len(run.stderr) < 20_000
    assert "x" * 99 in (out / "logs" / "hostile.log").read_text()


def test_reports_and_tables_survive_what_methods_say(
    under_fire: tuple[Path, subprocess.CompletedProcess[str]], cli: Callable[..., Any]
) -> None:
    out, _ = under_fire
    shutil.copytree(out, out.with_name("shown"))
    out = out.with_name("shown")
    for file in (out / "diagnostics").rglob("*.png"):
        file.write_bytes(file.read_bytes()[:40])  # torn: shown, never computed from
        break
    report = cli("report", out, "--format", "both")
    assert report.code == 3, report.err
    assert "<script" not in (out / "report.md").read_text()
    page = (out / "report.html").read_text()
    assert "<script>alert" not in page
    assert "cost $x_{$ too high" in page
    json.loads(cli("score", out, "--json").out)


def test_little_is_imported_before_ctrl_c_is_looked_after() -> None:
    """Python itself prints a traceback of what is interrupted before `main`."""
    program = (
        "import sys; a = set(sys.modules); import imedbench.__main__; print(*{*sys.modules} - a)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert set(found.stdout.split()) == {"imedbench", "imedbench.__main__"}


# Kills


@pytest.fixture(scope="module")
def plain_run(
    tmp_path_factory: pytest.TempPathFactory, write_manifest: WriteManifest, troublesome: Path
) -> tuple[Path, Path]:
    """Data and an uninterrupted run on them."""
    folder = tmp_path_factory.mktemp("plain")
    acts = [*["random", "give-up", "own-transform"] * 3, "own-transform"]
    data = write_manifest(folder / "data", acts)
    methods = ("--methods", "identity,troublesome", "--plugin", troublesome)
    assert ended(command(data, folder / "run", *methods)).returncode == 0
    return data, folder / "run"


def test_workers_that_are_killed_while_they_start_cost_nothing(
    plain_run: tuple[Path, Path], tmp_path: Path, troublesome: Path
) -> None:
    data, whole = plain_run
    words = command(data, tmp_path / "run", "--methods", "identity,troublesome")
    with subprocess.Popen([*words, "--plugin", str(troublesome)], text=True) as process:
        for _ in range(2):
            wait_until(lambda: workers_of(process))[0].kill()
    assert process.returncode == 0
    assert facts(tmp_path / "run") == facts(whole)


@pytest.fixture(scope="module")
def slow_run(
    tmp_path_factory: pytest.TempPathFactory, write_manifest: WriteManifest, troublesome: Path
) -> tuple[Path, Path]:
    """Data whose pairs take their time and an uninterrupted run on them."""
    folder = tmp_path_factory.mktemp("slow")
    data = write_manifest(folder / "data", ["slow"] * 6)
    words = command(data, folder / "run", "--methods", "troublesome", "--plugin", troublesome)
    assert ended(words).returncode == 0
    return data, folder / "run"


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_are_killed_at_work_cost_nothing(
    workers: int, slow_run: tuple[Path, Path], tmp_path: Path, troublesome: Path
) -> None:
    data, whole = slow_run
    more = ("--methods", "troublesome", "--plugin", troublesome)
    killed: set[int] = set()
    words = command(data, tmp_path / "run", *more, "--workers", workers)
    with subprocess.Popen(words, text=True) as process:
        while process.poll() is None and len(killed) < 2:
            for worker in workers_of(process):
                if worker.pid not in killed:
                    time.sleep(0.5)
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()
                        killed.add(worker.pid)
    assert process.returncode == 0
    assert len(killed) == 2
    assert facts(tmp_path / "run") == facts(whole)


def test_a_killed_run_leaves_no_process_and_is_resumed(
    write_manifest: WriteManifest, tmp_path: Path
) -> None:
    data = write_manifest(tmp_path / "data", ["children", "loopc", ""])
    own = f"1{os.getpid()}001"  # seconds by which the children of this test are known
    words = command(data, tmp_path / "run", "--methods", "hostile", "--plugin", HOSTILE)
    with subprocess.Popen(
        [*words, "--timeout", "600"], text=True, env={**os.environ, "HOSTILE_SLEEP": own}
    ) as process:
        try:
            wait_until(lambda: _count(tmp_path / "run"), 200)
            wait_until(lambda: len(workers_of(process)) == 1)
            time.sleep(0.5)
            left, sleeping = group_of(process), sleepers(own)
        finally:
            process.kill()
    assert len(left) >= 2
    assert sleeping
    wait_until(lambda: not [p for p in left if _alive(p)], 10)
    assert not sleepers(own)
    assert len(rows(tmp_path / "run")) == 1


def _count(folder: Path) -> int:
    try:
        with sqlite3.connect(folder / Store.FILE) as db:
            return int(db.execute("SELECT COUNT(*) FROM predictions").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sleepers(seconds: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if _words(p) == ["sleep", seconds]]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_children_of_a_method_end_with_the_run(
    write_manifest: WriteManifest, tmp_path: Path
) -> None:
    data = write_manifest(tmp_path / "data", ["children"])
    own = f"1{os.getpid()}002"
    run = ended(
        command(data, tmp_path / "run", "--methods", "hostile", "--plugin", HOSTILE),
        env={**os.environ, "HOSTILE_SLEEP": own},
    )
    assert run.returncode == 0, run.stderr
    assert not sleepers(own)


def _interruptible() -> None:
    """Tests that run in the background of a shell inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_twice_stops_at_once(write_manifest: WriteManifest, tmp_path: Path) -> None:
    data = write_manifest(tmp_path / "data", ["", "sleep", ""])
    words = command(data, tmp_path / "run", "--methods", "hostile", "--plugin", HOSTILE)
    with subprocess.Popen(
        [*words, "--timeout", "600"],
        text=True,
        stderr=subprocess.PIPE,
        preexec_fn=_interruptible,
    ) as process:
        wait_until(lambda: _count(tmp_path / "run"))
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "the pair in flight is finished"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 3
    assert "finishing the pairs in flight" in errors
    assert "interrupted; every finished pair is stored" in errors
    assert "Traceback" not in errors
    assert len(rows(tmp_path / "run")) == 1


# Files and disks


@pytest.fixture
def finished(plain_run: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain_run[1], tmp_path / "finished"))


def test_damaged_transforms_are_named_and_computed_again(
    finished: Path, plain_run: tuple[Path, Path], troublesome: Path, cli: Callable[..., Any]
) -> None:
    empty, torn, noise, gone = sorted((finished / "transforms").iterdir())[:4]
    empty.write_bytes(b"")
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    noise.write_bytes(b"PK" + bytes(500))
    gone.unlink()
    assert cli("report", finished).code in (0, 3)
    told = cli("score", finished)
    assert told.code in (0, 3), told.err
    said = "".join((told.out + told.err).split())
    assert all(file.name in said for file in (empty, torn, noise, gone))
    methods = ("--methods", "identity,troublesome", "--plugin", troublesome)
    again = cli(*command(plain_run[0], finished, *methods)[3:])
    assert again.code == 0, again.err
    assert facts(finished) == facts(plain_run[1])


@pytest.mark.parametrize("kib", [8, 40, 120, 200, 400])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    kib: int,
    plain_run: tuple[Path, Path],
    tmp_path: Path,
    troublesome: Path,
    cli: Callable[..., Any],
) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (kib << 10, kib << 10))

    data, whole = plain_run
    words = command(
        *(data, tmp_path / "run", "--methods", "identity,troublesome", "--plugin", troublesome)
    )
    full = ended(words, preexec_fn=small_files)
    if full.returncode != 0:
        assert full.returncode == 4, full.stderr
        assert re.search(r"^error: .*", full.stderr, flags=re.MULTILINE)
        assert full.stderr.count("error: ") == 1
    assert cli(*words[3:]).code == 0
    assert facts(tmp_path / "run") == facts(whole)


def test_a_disk_that_is_full_for_a_moment_makes_no_pair_unreadable(
    write_manifest: WriteManifest,
    tmp_path: Path,
    cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    words = command(write_manifest(tmp_path / "data", [""]), tmp_path / "run")[3:]
    with monkeypatch.context() as patch:
        patch.setattr(Store, "set_hashes", full)
        told = cli(*words, "--methods", "identity")
    assert told.code == 4, told.err
    assert rows(tmp_path / "run") == {}
    assert cli(*words, "--methods", "identity").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(Store, "set_hashes", full)
        patch.setattr(Store, "hashes", lambda _: {})
        told = cli("score", tmp_path / "run", "--metrics", "folding")
    assert told.code == 4, told.err


def test_damaged_databases_end_with_four(finished: Path, cli: Callable[..., Any]) -> None:
    database = finished / Store.FILE
    content = bytearray(database.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    database.write_bytes(content)
    for words in (["score", finished], ["report", finished]):
        told = cli(*words)
        assert told.code == 4, told.err
        assert told.err.startswith("error: ")
        assert told.err.count("\n") == 1


def test_a_finished_run_on_read_only_media_can_be_read(
    finished: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any], tmp_path: Path
) -> None:
    asked = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: asked(path, mode) and mode != os.W_OK)
    before = {file: file.stat().st_mtime_ns for file in finished.rglob("*")}
    score = cli("score", finished, "--metrics", "tre_mean")
    assert score.code == 0, score.err
    report = cli("report", finished, "--out", tmp_path / "page")
    assert report.code == 0, report.err
    more = cli("score", finished, "--metrics", "dice")
    assert more.code == 4
    assert "read-only" in more.err
    assert {file: file.stat().st_mtime_ns for file in finished.rglob("*")} == before


def test_retry_computes_named_outcomes_again(
    write_manifest: WriteManifest, tmp_path: Path, troublesome: Path, cli: Callable[..., Any]
) -> None:
    data = write_manifest(tmp_path / "data", ["random", "give-up"])
    words = (
        *("run", "--data", data, "--out", tmp_path / "run", "--methods", "troublesome"),
        *("--plugin", troublesome, *ONE_SPLIT),
    )
    assert cli(*words).code == 0
    before = rows(tmp_path / "run")
    assert cli(*words, "--retry", "no_transform,timeout").code == 0
    after = rows(tmp_path / "run")
    again = {p for (m, p), row in after.items() if row.latency_ms != before[m, p].latency_ms}
    assert again == {"p1"}
    wrong = cli(*words, "--retry", "slow")
    assert wrong.code == 2
    assert "no such outcome; there are" in wrong.err
