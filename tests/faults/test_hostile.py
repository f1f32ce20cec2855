"""What a method may do in a call, and what it costs: its own pair at most."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from imedbench.core.text import MAX_TEXT
from imedbench.core.types import Image, Outcome
from imedbench.runs.calls import CallResult, Task
from imedbench.runs.services import WorkerSettings
from imedbench.runs.wire import decode, encode
from imedbench.runs.worker import MAX_LOG, Worker

PLUGIN = Path(__file__).parent / "hostile.py"
TIMEOUT_S = 1.5
MEMORY_GIB = 1.0
# Of two calls, with the start of three processes on a busy machine.
DEADLINE_S = 60.0

OK, NO, BAD, LATE, FULL, CRASH = (
    Outcome.OK,
    Outcome.NO_TRANSFORM,
    Outcome.DEGENERATE,
    Outcome.TIMEOUT,
    Outcome.OUT_OF_MEMORY,
    Outcome.CRASH,
)


def each(outcome: Outcome | tuple[Outcome, ...], names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), outcome)


#: What each act must come to. Where two are named the machine decides which happens first.
EXPECTED: dict[str, Outcome | tuple[Outcome, ...]] = {
    **each(
        CRASH,
        "segv exit0 exit3 sysexit sysexit0 kbd base genexit abort sigkill sigterm sigill sigfpe"
        " sigbus sigxcpu sighup sigusr1 alarm recursion children_hold close_all closepipe"
        " pipe_garbage pipe_huge_framed pipe_pickle pipe_wrongtype pipe_empty pipe_answer"
        " shape t_segv t_exit t_raise t_kbd t_sysexit t_shape t_text zero false text"
        " array class generator async tuple matrix neither both conf_arr conf_nan conf_text"
        " conf_two"
        " exc_sur exc_unp exc_str exc_multiline exc_big exc_group exc_stop exc_eof exc_pipe"
        " exc_timeout exc_bad_code warn diag_none diag_dict diag_name diag_longname"
        " diag_force diag_lambda diag_unpickle diag_list diag_bigint diag_many diag_float"
        " diag_object matches_text matches_object sigpipe",
    ),
    **each(
        LATE,
        "loop loopc sleep sigstop ignore_term lock pause pipe_huge pipe_partial pipe_half_header"
        " t_hang talk_on",
    ),
    **each(FULL, "mem_rlimit mem_huge mem_cv2 mem_torch mem_outgrow memory_error"),
    **each(BAD, "nan inf singular hugeaff tiny dense_nan"),
    **each(
        NO,
        "reason_int reason_list reason_exc reason_sur reason_nul reason_math reason_big reason_ansi"
        " reason_print",
    ),
    **each(
        OK,
        "read_stdin children fork_return threads threads_hold thread_dies atexit stdout10 stderr10"
        " printjson close12 pipe_nonblocking dense_wrong t_int t_late t_fat conf_f32 conf_arr0"
        " conf_bool"
        " diag_nanval diag_2e63 diag_surkey diag_text diag_wide matches_nan stages mutate env"
        " folder_gone listen parent_winch gc_off",
    ),
    # What ruins its own process may still get its answer out, or may not.
    "stackover": (CRASH, LATE),
    "complex": (OK, CRASH),
    "diag_intkey": (OK, CRASH),
    **each(
        (OK, CRASH, NO),
        "monkey clock few_files flood_files recursion_limit no_builtins trace modules_gone",
    ),
}
#: These change the process they live in; the pair after them may be hurt as well, never silently.
SPOILED = "monkey env clock few_files flood_files recursion_limit no_builtins trace modules_gone"
#: These leave something behind in a process that goes on: each has a worker of its own.
ALONE = (
    f"{SPOILED} mem_rlimit mem_huge mem_cv2 mem_torch mem_outgrow stackover children fork_return"
    " threads threads_hold warn close12 pipe_nonblocking folder_gone listen gc_off"
)
CHAINS = 6  # of all other acts that hang, and of all that do not


def allowed(act: str) -> tuple[Outcome, ...]:
    outcome = EXPECTED[act]
    return outcome if isinstance(outcome, tuple) else (outcome,)


@dataclass(frozen=True)
class Ended:
    """Three calls: a good one, the act, a good one."""

    results: tuple[CallResult, CallResult, CallResult]
    seconds: float
    survivors: list[psutil.Process]


def call_in_turn(acts: Sequence[str], folder: Path) -> dict[str, Ended]:
    """One worker's calls: the acts, with a good call before and after each."""
    settings = WorkerSettings("hostile", (PLUGIN,), warm_up=False, memory_gib=MEMORY_GIB)
    waits = any(LATE in allowed(act) for act in acts)  # for the others a busy machine has time
    timeout_s = TIMEOUT_S if waits else 20 * TIMEOUT_S
    worker, groups = Worker(settings, timeout_s, folder / f"{acts[0]}.log"), set[int]()

    def call(act: str) -> CallResult:
        pixels = np.zeros((64, 64), np.uint8)
        result = worker.call(Task(Image(pixels, act), Image(pixels.copy()), 0))
        groups.update([worker._process.pid] if worker._process else [])
        return result

    before, calls = call(""), {}
    for act in acts:
        start = time.monotonic()
        acted, after = call(act), call("")
        calls[act] = (before, acted, after), time.monotonic() - start
        before = after
    worker.close()
    time.sleep(0.05)
    left = [p for p in psutil.process_iter() if _group(p) in groups]
    alive = [p for p in left if p.status() != psutil.STATUS_ZOMBIE]
    return {act: Ended(results, seconds, alive) for act, (results, seconds) in calls.items()}


def _group(process: psutil.Process) -> int:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return 0


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """All acts, three at a time: most of the time goes into starting processes."""
    folder = tmp_path_factory.mktemp("logs")
    alone = ALONE.split()
    late = [act for act in EXPECTED if act not in alone and LATE in allowed(act)]
    others = [act for act in EXPECTED if act not in alone and act not in late]
    together = [acts[n::CHAINS] for acts in (late, others) for n in range(CHAINS)]
    chains = [*([act] for act in alone), *together]
    found: dict[str, Ended] = {}
    with ThreadPoolExecutor(3) as pool:
        for ended in pool.map(lambda acts: call_in_turn(acts, folder), chains):
            found.update(ended)
    return found


def test_every_act_is_known() -> None:
    from imedbench.core.registry import load_plugin_file

    load_plugin_file(PLUGIN)
    import sys

    (module,) = (m for n, m in sys.modules.items() if n.startswith("imedbench_plugin_hostile_"))
    assert set(module.ACTS) == set(EXPECTED)
    assert len(EXPECTED) >= 120


@pytest.mark.parametrize("act", EXPECTED)
def test_an_act_costs_its_own_pair_at_most(act: str, ended: dict[str, Ended]) -> None:
    first, acted, last = ended[act].results
    assert first.outcome is OK, first.reason
    assert acted.outcome in allowed(act), acted.reason
    assert (acted.reason == "") == (acted.outcome is OK)
    assert len(acted.reason) <= 3 * MAX_TEXT
    assert acted.reason.isprintable()
    if act not in SPOILED.split():
        assert last.outcome is OK, last.reason
    if last.outcome is OK:
        assert last.transform is not None
        assert last.transform.apply([[0, 0]]).tolist() == [[1, 0]]
    assert ended[act].seconds < DEADLINE_S
    assert ended[act].survivors == []
    # Whatever it is, it can be stored and read again.
    assert decode(CallResult, encode(acted)).outcome is acted.outcome


@pytest.mark.parametrize(
    ("what", "outcome"),
    [("exit0", CRASH), ("sysexit", CRASH), ("kbd", CRASH), ("segv", CRASH), ("sigkill", CRASH)],
)
def test_setting_up_may_go_wrong_in_the_same_ways(
    what: str, outcome: Outcome, tmp_path: Path
) -> None:
    settings = WorkerSettings(f"hostile-setup:what={what}", (PLUGIN,), warm_up=False)
    worker = Worker(settings, TIMEOUT_S, tmp_path / "log")
    image = Image(np.zeros((16, 16), np.uint8))
    for _ in range(2):
        result = worker.call(Task(image, image, 0))
        assert result.outcome is outcome
        assert result.reason
    worker.close()


def test_the_log_of_a_call_that_talks_and_never_ends_stays_small(tmp_path: Path) -> None:
    settings = WorkerSettings("hostile", (PLUGIN,), warm_up=False)
    worker = Worker(settings, TIMEOUT_S, tmp_path / "log")
    pixels = np.zeros((16, 16), np.uint8)
    assert worker.call(Task(Image(pixels, "talk_on"), Image(pixels), 0)).outcome is LATE
    worker.close()
    assert 0 < (tmp_path / "log").stat().st_size <= MAX_LOG
    assert worker.last_output(12) == "the last one"


def test_a_worker_that_stops_reading_is_ended(tmp_path: Path) -> None:
    """A large pair does not fit into the socket's buffer: sending it must have its end, too."""
    settings = WorkerSettings("hostile", (PLUGIN,), warm_up=False)
    worker = Worker(settings, TIMEOUT_S, tmp_path / "log")
    small, large = np.zeros((16, 16), np.uint8), np.zeros((2500, 2500), np.uint8)
    assert worker.call(Task(Image(small), Image(small), 0)).outcome is OK
    assert worker._process is not None
    os.kill(worker._process.pid, 19)  # SIGSTOP
    start = time.monotonic()
    result = worker.call(Task(Image(large), Image(large), 0))
    assert result.outcome is LATE
    assert time.monotonic() - start < 10 * TIMEOUT_S
    assert worker.call(Task(Image(small), Image(small), 0)).outcome is OK
    worker.close()
