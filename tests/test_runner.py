"""Runs end to end: one row a pair whatever happens, resume, drift, kill and Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imedbench.core.datasets import open_dataset
from imedbench.core.errors import BadInput, ConfigDrift
from imedbench.core.images import write_image
from imedbench.core.registry import METHODS
from imedbench.core.types import Outcome
from imedbench.runs.config import RunConfig, data_identity, read_run
from imedbench.runs.database import hold
from imedbench.runs.runner import run
from imedbench.runs.store import Prediction, Store

WriteManifest = Callable[..., Path]
EVERY_OUTCOME = {
    "shift": Outcome.OK,
    "give-up": Outcome.NO_TRANSFORM,
    "mirror": Outcome.DEGENERATE,
    "nan": Outcome.DEGENERATE,
    "hang": Outcome.TIMEOUT,
    "sigkill": Outcome.CRASH,
    "raise": Outcome.CRASH,
    "exit": Outcome.CRASH,
    "decline": Outcome.SKIPPED,
}


def config_for(data: Path, out: Path, *plugins: Path, **changes: object) -> RunConfig:
    config = RunConfig(
        data=str(data),
        methods=("troublesome",),
        out=out,
        splits=("multi-modal",),
        timeout_s=20,
        plugins=plugins,
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def start(config: RunConfig) -> dict[str, Prediction]:
    """Run and return the rows of the first method by pair."""
    run(config, open_dataset(config.data))
    return rows(config.out, config.methods[0])


def rows(out: Path, method: str = "troublesome") -> dict[str, Prediction]:
    store = Store(out)
    found = {p.pair_id: p for p in store.predictions(method)}
    store.close()
    return found


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, troublesome: Path, write_manifest: WriteManifest
) -> RunConfig:
    """A run in which everything happens that can happen."""
    folder = tmp_path_factory.mktemp("everything")
    data = write_manifest(folder / "data", list(EVERY_OUTCOME))
    config = config_for(data, folder / "run", troublesome, timeout_s=1.5)
    start(config)
    return config


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, troublesome: Path, write_manifest: WriteManifest
) -> RunConfig:
    """A run of two good pairs; tests copy its folder before they change it."""
    folder = tmp_path_factory.mktemp("finished")
    config = config_for(
        write_manifest(folder / "data", ["shift", "random"]), folder / "run", troublesome
    )
    start(config)
    return config


@pytest.fixture
def copied(finished: RunConfig, tmp_path: Path) -> RunConfig:
    out = tmp_path / "run"
    shutil.copytree(finished.out, out)
    return replace(finished, out=out)


def test_every_pair_has_one_row_whatever_happened(everything: RunConfig) -> None:
    found = rows(everything.out)
    assert [p.outcome for p in found.values()] == list(EVERY_OUTCOME.values())
    assert all(p.reason for p in found.values() if p.outcome is not Outcome.OK)
    assert found["p2"].reason == "it mirrors the image"
    assert found["p2"].transform is not None, "a degenerate transform is kept"
    assert found["p1"].latency_ms is not None, "an early exit's time is kept"


def test_only_what_is_no_answer_is_tried_again(everything: RunConfig, tmp_path: Path) -> None:
    before = rows(everything.out)
    after = start(everything)
    again = [pair for pair in after if after[pair].latency_ms != before[pair].latency_ms]
    assert again == []  # crashes and skips have no time; all others are the rows of before
    assert {p: r.outcome for p, r in after.items()} == {p: r.outcome for p, r in before.items()}
    with sqlite3.connect(everything.out / Store.FILE) as db:
        order = [pair for (pair,) in db.execute("SELECT pair_id FROM predictions ORDER BY rowid")]
    assert order == ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"]


def test_a_crash_is_tried_again_and_replaced(
    tmp_path: Path,
    troublesome: Path,
    write_manifest: WriteManifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = write_manifest(tmp_path / "data", ["shift", "calm-needed"])
    config = config_for(data, tmp_path / "run", troublesome)
    first = start(config)
    assert first["p1"].outcome is Outcome.CRASH
    monkeypatch.setenv("IMEDBENCH_TEST_CALM", "1")
    second = start(config)
    assert second["p1"].outcome is Outcome.OK
    assert second["p0"] == replace(first["p0"], transform=second["p0"].transform)


def test_a_finished_run_starts_no_process(
    copied: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "imedbench.runs.worker.Worker.call", lambda *_: pytest.fail("computed again")
    )
    assert len(start(copied)) == 2


def test_more_pairs_and_methods_join_a_run(
    tmp_path: Path, troublesome: Path, write_manifest: WriteManifest
) -> None:
    data = write_manifest(tmp_path / "data", ["shift"])
    config = config_for(data, tmp_path / "run", troublesome)
    first = start(config)
    write_manifest(tmp_path / "data", ["shift", "give-up"])
    second = start(config)
    assert second["p0"].latency_ms == first["p0"].latency_ms
    assert second["p1"].outcome is Outcome.NO_TRANSFORM
    assert set(start(replace(config, methods=("identity",), plugins=()))) == {"p0", "p1"}
    assert read_run(config.out)["plugins"] == [str(troublesome)], "later runs keep earlier plugins"
    store = Store(config.out)
    assert list(store.methods()) == ["troublesome", "identity"]
    store.close()


def test_two_workers_give_the_same_rows_without_times(finished: RunConfig, tmp_path: Path) -> None:
    two = start(replace(finished, out=tmp_path / "two", workers=2))
    one = rows(finished.out)
    assert two.keys() == one.keys()
    assert {p: r.key for p, r in two.items()} == {p: r.key for p, r in one.items()}
    for pair, row in two.items():
        assert row.transform is not None
        np.testing.assert_array_equal(
            row.transform.apply([[3, 4]]),
            one[pair].transform.apply([[3, 4]]),  # type: ignore[union-attr]
        )
        assert not row.timed_alone
        assert one[pair].timed_alone


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "holds results for seed = 0, now 1"),
        ({"timeout_s": 9.0}, "holds results for timeout_s = 20"),
        ({"threads": 2}, "holds results for threads = 1"),
        ({"limit": 1}, "holds results for limit = None, now 1"),
        ({"subset": "test"}, "holds results for subset = all"),
        ({"device": "cuda"}, "holds results for device = cpu"),
    ],
)
def test_other_settings_are_refused(
    change: dict[str, object], message: str, copied: RunConfig
) -> None:
    before = (copied.out / "run.json").read_bytes()
    with pytest.raises(ConfigDrift, match=message) as caught:
        start(replace(copied, **change))  # type: ignore[arg-type]
    assert "--recompute" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (copied.out / "run.json").read_bytes() == before
    assert len(rows(copied.out)) == 2


def test_other_data_is_refused(
    copied: RunConfig, write_manifest: WriteManifest, tmp_path: Path
) -> None:
    other = write_manifest(tmp_path / "other", ["shift", "random"])
    with pytest.raises(ConfigDrift, match="holds results for data = "):
        start(replace(copied, data=str(other)))


def test_recompute_leaves_no_row_of_the_old_settings(copied: RunConfig) -> None:
    both = replace(copied, methods=("troublesome", "identity"))
    start(both)
    old = rows(copied.out)
    new = start(replace(copied, seed=1, recompute=True))
    assert new["p1"].transform is not None
    assert old["p1"].key != new["p1"].key
    assert rows(copied.out, "identity") == {}, "it was not asked for again: seed 0's rows must go"
    assert read_run(copied.out)["config"]["seed"] == 1


def test_recompute_on_another_device_forgets_rows_of_the_same_key(copied: RunConfig) -> None:
    """Threads are no part of a key, for they change no transform; latencies they do change."""
    old = rows(copied.out)
    new = start(replace(copied, threads=2, recompute=True))
    assert {p: r.key for p, r in new.items()} == {p: r.key for p, r in old.items()}
    assert all(new[pair].latency_ms != old[pair].latency_ms for pair in old)


def test_a_changed_image_is_refused_and_replaced_on_request(
    tmp_path: Path, troublesome: Path, write_manifest: WriteManifest
) -> None:
    data = write_manifest(tmp_path / "data", ["shift", "shift"])
    config = config_for(data, tmp_path / "run", troublesome)
    before = start(config)
    write_image(tmp_path / "data" / "1-moving.png", np.full((64, 64), 9, np.uint8))
    with pytest.raises(ConfigDrift, match="troublesome on p1 was made with other"):
        start(config)
    after = start(replace(config, recompute=True))
    assert after["p0"].latency_ms == before["p0"].latency_ms
    assert after["p1"].key != before["p1"].key


PLUGIN = '''
"""A method."""
from imedbench.core.methods import register_method
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration

@register_method(MethodInfo("edited", "is edited by a test", "affine"))
def edited(fixed: Image, moving: Image) -> Registration:
    {body}
'''


def load_afresh(plugin: Path, body: str) -> None:
    """What a new process would do."""
    from imedbench.core.registry import load_plugin_file
    from imedbench.runs.packages import packages_of, source_hash

    plugin.write_text(PLUGIN.format(body=body))
    for name in [n for n in sys.modules if n.startswith(f"imedbench_plugin_{plugin.stem}")]:
        del sys.modules[name]
    METHODS._factories.pop("edited", None)
    source_hash.cache_clear()
    packages_of.cache_clear()
    load_plugin_file(plugin)


def test_changed_code_is_refused_unless_it_had_crashed(
    tmp_path: Path, write_manifest: WriteManifest
) -> None:
    plugin = tmp_path / "edited.py"
    data = write_manifest(tmp_path / "data", ["-"])
    config = config_for(data, tmp_path / "run", plugin, methods=("edited",))
    load_afresh(plugin, "raise RuntimeError('bug')")
    assert start(config)["p0"].outcome is Outcome.CRASH
    load_afresh(plugin, "return Registration(Affine.identity())")
    assert start(config)["p0"].outcome is Outcome.OK
    load_afresh(plugin, "return Registration(Affine([[1, 0, 3], [0, 1, 0]]))")
    with pytest.raises(ConfigDrift, match="other code, weights or images"):
        start(config)
    transform = start(replace(config, recompute=True))["p0"].transform
    assert transform is not None
    assert transform.apply([[0, 0]]).tolist() == [[3, 0]]
    METHODS._factories.pop("edited")


def test_methods_that_decline_leave_rows_that_say_why(
    tmp_path: Path, troublesome: Path, write_manifest: WriteManifest
) -> None:
    data = write_manifest(tmp_path / "data", ["-", "-"])
    config = config_for(data, tmp_path / "run", troublesome, methods=("unready:how=refuse",))
    found = start(config)
    assert {(r.outcome, r.reason) for r in found.values()} == {
        (Outcome.SKIPPED, "not built on this machine")
    }
    assert len(found) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("troublesom",)}, "did you mean troublesome"),
        ({"methods": ("identity", "troublesome:nota=1")}, "did you mean note"),
        ({"subset": "train"}, "no pairs in subset 'train'"),
    ],
)
def test_bad_requests_write_nothing(
    changes: dict[str, object], message: str, finished: RunConfig, tmp_path: Path
) -> None:
    config = replace(finished, out=tmp_path / "run", **changes)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=message):
        start(config)
    assert not config.out.exists()


def test_a_run_folder_that_cannot_be_made_is_bad_input(finished: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        start(replace(finished, out=tmp_path / "file" / "run"))


def test_two_processes_do_not_write_to_one_folder(copied: RunConfig) -> None:
    with hold(copied.out), pytest.raises(BadInput, match="another process writes"):
        start(copied)
    assert len(start(copied)) == 2, "it let go"


def test_large_transforms_and_pictures_are_kept_beside_the_database(
    tmp_path: Path, write_manifest: WriteManifest
) -> None:
    data = write_manifest(tmp_path / "data", ["-"])
    config = config_for(data, tmp_path / "run", methods=("sift",), diagnostics=True)
    row = start(config)["p0"]
    assert row.outcome is Outcome.OK, row.reason
    assert (config.out / "diagnostics" / row.key / "matches.npz").is_file()
    assert row.details["n_inliers"] <= row.details["n_matches"]


def test_a_spec_of_data_means_the_same_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "mine").mkdir()
    assert data_identity("mine") == str(tmp_path / "mine")
    assert data_identity("synthetic") == "synthetic"
    assert data_identity("manifest:root=mine") == f"manifest:root={tmp_path / 'mine'}"
    assert data_identity("synthetic:size=64:pairs=2") == "synthetic:pairs=2:size=64"


# The real process


def command(data: Path, out: Path, plugin: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "imedbench", "run", "--data", str(data), "--out", str(out)),
        *("--methods", "troublesome", "--plugin", str(plugin), "--split", "multi-modal"),
        *("--metrics", "tre_mean,folding", *more),
    ]


def wait_for_rows(out: Path, n: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (out / Store.FILE).is_file():
            with sqlite3.connect(out / Store.FILE) as db:
                try:
                    (found,) = db.execute("SELECT COUNT(*) FROM predictions").fetchone()
                except sqlite3.OperationalError:
                    found = 0
            if found >= n:
                return
        assert process.poll() is None, "it ended too early"
        time.sleep(0.05)
    pytest.fail(f"no {n} rows within a minute")


def test_killed_run_goes_on_where_it_was(
    tmp_path: Path, troublesome: Path, write_manifest: WriteManifest
) -> None:
    acts = ["random", "slow", "slow", "random", "give-up"]
    data = write_manifest(tmp_path / "data", acts)
    out = tmp_path / "run"
    with subprocess.Popen(command(data, out, troublesome), text=True) as process:
        wait_for_rows(out, 2, process)
        process.send_signal(signal.SIGKILL)
    halfway = rows(out)
    assert 2 <= len(halfway) < 5
    ended = subprocess.run(
        command(data, out, troublesome), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    after = rows(out)
    assert sorted(after) == ["p0", "p1", "p2", "p3", "p4"]
    for pair, row in halfway.items():
        assert after[pair].latency_ms == row.latency_ms
    untouched = start(config_for(data, tmp_path / "second", troublesome, timeout_s=60.0))
    for pair, row in untouched.items():
        assert row.key == after[pair].key
        assert row.outcome is after[pair].outcome
        if row.transform is not None:
            other = after[pair].transform
            assert other is not None
            assert row.transform.apply([[1, 1]]).tolist() == other.apply([[1, 1]]).tolist()


def test_ctrl_c_finishes_the_pair_in_flight(
    tmp_path: Path, troublesome: Path, write_manifest: WriteManifest
) -> None:
    data = write_manifest(tmp_path / "data", ["shift", *["slow"] * 6])
    out = tmp_path / "run"
    with subprocess.Popen(
        command(data, out, troublesome),
        text=True,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Tests that run in the background of a shell inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        wait_for_rows(out, 1, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the children get it too
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "interrupted; every finished pair is stored" in errors
    assert "Traceback" not in errors
    found = rows(out)
    assert 2 <= len(found) < 7
    assert {row.outcome for row in found.values()} == {Outcome.OK}
