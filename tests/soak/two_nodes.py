"""A Ray cluster of two nodes on this machine, one of which is killed while a run uses both.

    PYTHONPATH=tests/soak python tests/soak/two_nodes.py

Prints one line for ``docs/explanation/reliability.md``; a difference ends it with 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from soak import compare, count_rows, facts, run, write_data

ROWS_BEFORE = 3  # that are there when the node is killed
LONGEST_S = 600


def main() -> None:
    """Run undisturbed, then with the loss."""
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        print("Ray is not installed: no machine of a cluster was lost")
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, out = write_data(folder / "data"), folder / "run"
        assert run(data, folder / "whole").wait() == 0
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        other = cluster.add_node(num_cpus=1)
        try:
            done = lose_a_node(
                run(data, out, "--executor", "ray", "--workers", "2", "--address", cluster.address),
                out,
                lambda: cluster.remove_node(other, allow_graceful=False),
            )
        finally:
            cluster.shutdown()
        expected = facts(folder / "whole")
        compare("a node killed", out, expected)
    print(f"a node of two killed after {done} of {len(expected)} rows, all equal to the byte")


def lose_a_node(process: subprocess.Popen[bytes], out: Path, kill: Callable[[], None]) -> int:
    """Kill it when some rows are there and wait for the end of the run."""
    deadline, done = time.monotonic() + LONGEST_S, 0
    while process.poll() is None:
        time.sleep(0.1)
        if not done and (rows := count_rows(out)) >= ROWS_BEFORE:
            kill()
            done = rows
        if time.monotonic() > deadline:
            process.kill()
    if process.returncode != 0 or not done:
        sys.exit(f"a node killed: the run ended with {process.returncode}, the loss after {done}")
    return done


if __name__ == "__main__":
    main()
