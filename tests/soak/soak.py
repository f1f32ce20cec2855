"""The long version of the fault tests: kills at random moments, and memory over many rows.

    python tests/soak/soak.py --kills 100 --rows 30000 --minutes 5

Prints one line a part, for ``docs/explanation/reliability.md``; a difference ends it with 1.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import psutil

from imedbench.core.transforms import to_bytes
from imedbench.runs.store import Store

TESTS = Path(__file__).parent.parent
PLUGIN = TESTS / "plugins" / "troublesome.py"
MANY = Path(__file__).parent / "many.py"
ACTS = ("random", "give-up", "own-transform", "random", "slow", "mirror", "numpy-values", "random")
MAX_GROWTH = 64 << 20  # bytes of the run's own process from a sixth of the rows to all of them


def main() -> None:
    """Run every part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--minutes", type=float, default=5, help="for the rows, at most")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_data(folder / "data")
        whole = folder / "whole"
        assert run(data, whole).wait() == 0
        expected = facts(whole)
        if asked.kills:
            kill_workers(data, folder, expected, asked.kills, rng)
            kill_runs(data, folder, expected, asked.kills, rng)
        if asked.rows:
            count_memory(folder, asked.rows, asked.minutes)


def write_data(folder: Path) -> Path:
    """A small data set whose pairs make the method do different things."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["pair_id,fixed,moving,fixed_modality"]
    for number, act in enumerate(ACTS):
        for side in ("fixed", "moving"):
            pixels = cv2.GaussianBlur(rng.normal(size=(64, 64)), (0, 0), 2)
            grey = cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
            cv2.imwrite(str(folder / f"{number}-{side}.png"), grey)
        lines.append(f"p{number},{number}-fixed.png,{number}-moving.png,{act}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder / "pairs.csv"


def run(data: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start a run."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "imedbench", "run", "--data", str(data), "--out", str(out)),
            *("--methods", "identity,troublesome", "--plugin", str(PLUGIN), *more),
            *("--split", "multi-modal", "--metrics", "folding", "--no-page"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def facts(out: Path) -> dict[tuple[str, str], tuple[object, ...]]:
    """Everything of a run's rows but times."""
    store = Store(out)
    found = {
        (p.method, p.pair_id): (
            *(p.key, p.outcome, p.reason, p.confidence, str(p.details)),
            p.transform and to_bytes(p.transform),
        )
        for p in store.predictions()
    }
    store.close()
    return found


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The worker processes of a run."""
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if any("worker_main" in word for word in child.cmdline()):
                    found.append(child)
    return found


def finish(data: Path, out: Path) -> None:
    """Resume until the run is complete."""
    for _ in range(5):
        if run(data, out).wait() == 0:
            return
    sys.exit(f"{out}: cannot be completed")


def compare(what: str, out: Path, expected: object) -> None:
    """End when a run is not what it is uninterrupted."""
    if facts(out) != expected:
        sys.exit(f"{what}: {out} differs from the uninterrupted run")


def kill_workers(
    data: Path, folder: Path, expected: object, kills: int, rng: random.Random
) -> None:
    """Kill workers at random moments."""
    done, runs = 0, 0
    while done < kills:
        out = folder / f"workers-{runs}"
        process = run(data, out, *rng.choice([(), ("--workers", "2")]))
        while process.poll() is None and done < kills:
            time.sleep(rng.uniform(0, 0.6))
            for worker in workers_of(process)[:1]:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
                    done += 1
        process.wait()
        finish(data, out)
        compare("workers killed", out, expected)
        shutil.rmtree(out)
        runs += 1
    print(f"workers killed: {done} in {runs} runs, all rows equal to the byte", flush=True)


def kill_runs(data: Path, folder: Path, expected: object, kills: int, rng: random.Random) -> None:
    """Kill or interrupt the run itself at random moments; no process may be left."""
    done, runs, before = 0, 0, leftovers()
    while done < kills:
        out = folder / f"runs-{runs}"
        for _ in range(12):
            process = run(data, out)
            time.sleep(rng.uniform(0.05, 3.5))
            if process.poll() is None:
                process.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                done += 1
                if process.wait(60) == 0:
                    break
            else:
                break
        finish(data, out)
        compare("runs killed", out, expected)
        shutil.rmtree(out)
        runs += 1
    time.sleep(1)
    if leftovers() - before:
        sys.exit("runs killed: a worker outlived its run")
    print(f"runs killed or interrupted: {done} over {runs} folders, all equal to the byte")


def leftovers() -> set[int]:
    """Worker processes of this plugin that have no run."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any("worker_main" in word for word in process.cmdline()) and process.ppid() == 1:
                found.add(process.pid)
    return found


def count_memory(folder: Path, rows: int, minutes: float) -> None:
    """Watch the memory and the open files of a run of very many rows, for some minutes at most."""
    os.environ["IMEDBENCH_SOAK_ROWS"] = str(rows)
    out = folder / "many"
    start = time.monotonic()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "imedbench", "run", "--data", "many", "--plugin", str(MANY)),
            *("--methods", "identity", "--out", str(out), "--split", "multi-modal"),
            *("--metrics", "folding", "--no-page"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    seen, files, own = list[tuple[int, int]](), 0, psutil.Process(process.pid)
    stopped = False
    while process.poll() is None:
        time.sleep(0.5)
        with suppress(psutil.Error, OSError):
            seen.append((count_rows(out), own.memory_info().rss))
            files = max(files, own.num_fds())
        if not stopped and time.monotonic() - start > 60 * minutes:
            stopped = True
            process.send_signal(signal.SIGINT)
    done, seconds = count_rows(out), time.monotonic() - start
    if process.returncode != (3 if stopped else 0) or (not stopped and done != rows):
        sys.exit(f"many rows: ended with {process.returncode}")
    early = max(memory for count, memory in seen if count <= done / 6)
    most = max(memory for _, memory in seen)
    asked = f" of {rows}, then stopped" if stopped else ""
    print(
        f"{done} rows{asked} in {seconds:.0f} s: {early >> 20} MiB after a sixth of them,"
        f" {most >> 20} MiB at most, {files} open files at most"
    )
    if most - early > MAX_GROWTH:
        sys.exit("many rows: memory grows with them")


def count_rows(out: Path) -> int:
    """The rows of a run so far."""
    import sqlite3

    with (
        suppress(sqlite3.Error),
        sqlite3.connect(f"file:{out}/results.sqlite?mode=ro", uri=True) as db,
    ):
        return int(db.execute("SELECT COUNT(*) FROM predictions").fetchone()[0])
    return 0


if __name__ == "__main__":
    main()
