"""Score the tests: change the code in many small ways, and count how many changes they notice.

    python tests/tools/mutants.py --sample 600 bench/analysis metrics

mutmut makes the changes and runs, for each, the tests that enter the changed function. Rooms are
copied to `build/mutation` first, in the layout in which they are installed, since mutmut takes the
name of a module from its path. A seeded sample stands for the thousands of possible changes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from imedbench.analysis.statistics import wilson_interval

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "mutation"
ROOMS = ("methods", "metrics", "datasets", "reports")
# Tests of trainings and of the packaging say nothing about the rooms that are scored; the others
# start the command in folders where mutmut finds no settings.
LEFT_OUT = (
    *("test_training*", "test_superpoint_training*", "test_layout*", "test_readme*", "tools/*"),
    *("test_doctests*", "test_check*", "test_new*", "test_plugins*", "faults/*"),
)
KILLED, SURVIVED = 1, 0  # pytest's exit codes: a test failed, or all passed


def build(rooms: list[str], tests: list[str]) -> None:
    """Copy the package and its tests to where mutmut works."""
    shutil.rmtree(WORK, ignore_errors=True)
    package, skip = WORK / "src" / "imedbench", shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "bench", package, ignore=skip)
    for room in ROOMS:
        shutil.copytree(ROOT / room, package / room, ignore=skip)
    shutil.copytree(ROOT / "tests", WORK / "tests", ignore=skip)
    import imedbench

    for facts in Path(imedbench.__file__).parents[1].glob("imedbench-*.dist-info"):
        shutil.copytree(facts, WORK / "src" / facts.name)
    changed = [f"src/imedbench/{room.removeprefix('bench').lstrip('/')}/*" for room in rooms]
    changed = [pattern.replace("imedbench//", "imedbench/") for pattern in changed]
    left_out = [f"--ignore-glob=tests/{pattern}" for pattern in LEFT_OUT]
    settings = {
        "source_paths": ["src"],
        "only_mutate": changed,
        "also_copy": ["src", "tests"],
        "process_isolation": "forkserver",  # a plugin file cannot be loaded twice by one process
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    arguments = json.dumps([*left_out, "-m", "not slow and not gpu", *tests])
    text = "\n".join(
        [
            "[tool.mutmut]",
            *lines,
            f"pytest_add_cli_args_test_selection = {arguments}",
            "[tool.pytest.ini_options]",
            'addopts = "--import-mode=importlib -p no:cacheprovider"',
            'markers = ["gpu: needs a card", "slow: more than ten seconds"]',
        ]
    )
    (WORK / "pyproject.toml").write_text(text + "\n")


def mutmut(*names: str) -> None:
    """Run mutmut on the changes of these names; without any it makes changes and runs none."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "2", *(names or ["none"])]
    # Commands that tests start must see the changed package too.
    environment = {**os.environ, "PYTHONPATH": str(WORK / "mutants" / "src")}
    subprocess.run(command, cwd=WORK, check=bool(names), env=environment)


def results() -> dict[str, int | None]:
    """Exit code by the name of each change; None for one that was not tried."""
    found: dict[str, int | None] = {}
    for path in (WORK / "mutants").rglob("*.py.meta"):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def main() -> None:
    """Build, sample, run, and print the score of each room."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "rooms", nargs="*", default=["bench/core", "bench/runs", "bench/analysis", "metrics"]
    )
    parser.add_argument("--tests", nargs="+", default=["tests"])
    parser.add_argument("--sample", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    build(asked.rooms, asked.tests)
    mutmut()
    every = sorted(results())
    chosen = random.Random(asked.seed).sample(every, min(asked.sample, len(every)))
    mutmut(*chosen)
    codes = results()
    by_room: dict[str, Counter[bool]] = {}
    for name in chosen:
        killed = codes[name] not in (SURVIVED, None, 33)  # 33: no test enters it
        by_room.setdefault(name.split(".")[1], Counter())[killed] += 1
        if not killed:
            print("survived:", name)
    total: Counter[bool] = sum(by_room.values(), Counter())
    for room, counts in [*sorted(by_room.items()), ("all", total)]:
        score = wilson_interval(counts[True], counts.total())
        print(
            f"{room}: {counts[True]} of {counts.total()} killed,"
            f" {score.estimate:.1%} [{score.low:.1%}, {score.high:.1%}]"
        )
    print(f"of {len(every)} possible changes")


if __name__ == "__main__":
    main()
