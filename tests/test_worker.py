"""A worker against methods that hang, die, lie and decline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from imedbench.core.transforms import Affine, DenseField
from imedbench.core.types import Image, Outcome
from imedbench.runs.calls import CallResult, Task
from imedbench.runs.services import WorkerSettings
from imedbench.runs.worker import MAX_ATTEMPTS, Worker

Act = Callable[[str], Image]


@pytest.fixture(scope="module")
def worker(troublesome: Path) -> Iterator[Worker]:
    settings = WorkerSettings("troublesome", (troublesome,), threads=3)
    worker = Worker(settings, timeout_s=20)
    yield worker
    worker.close()


@pytest.fixture
def ask(worker: Worker, act: Act) -> Callable[[str], CallResult]:
    return lambda what: worker.call(Task(act(what), act("octa"), seed=4))


def test_a_good_answer_comes_back_whole(ask: Callable[[str], CallResult]) -> None:
    answer = ask("shift")
    assert answer.outcome is Outcome.OK
    assert answer.reason == ""
    transform = answer.transform
    assert isinstance(transform, Affine)
    assert transform.apply([[0, 0]]).tolist() == [[2, 0]]
    assert answer.latency_ms is not None
    assert answer.latency_ms > 0


@pytest.mark.parametrize(
    ("what", "outcome", "reason"),
    [
        ("give-up", Outcome.NO_TRANSFORM, "nothing to hold on to"),
        ("raise", Outcome.CRASH, "KeyError: 'no such thing' at troublesome.py:"),
        ("decline", Outcome.SKIPPED, "not on a Sunday"),
        ("memory-error", Outcome.OUT_OF_MEMORY, "MemoryError: cannot allocate 1 TiB"),
        ("wrong-type", Outcome.CRASH, "it returned ndarray, not a Registration"),
        ("matrix", Outcome.CRASH, "fixed_from_moving must be a Transform, this one is a ndarray"),
        ("unsendable", Outcome.CRASH, "matches must be Matches, they are a function"),
        ("threads", Outcome.NO_TRANSFORM, "3"),
    ],
)
def test_what_a_method_may_do_without_dying(
    what: str, outcome: Outcome, reason: str, ask: Callable[[str], CallResult], worker: Worker
) -> None:
    ask("shift")
    process = worker._process
    answer = ask(what)
    assert answer.outcome is outcome
    assert reason in answer.reason
    assert worker._process is process, "the process lives on"


@pytest.mark.parametrize(
    ("what", "outcome", "reason"),
    [
        ("exit", Outcome.CRASH, "the process died (exit 7)"),
        ("segfault", Outcome.CRASH, "the process died (SIGSEGV)"),
        ("sigkill", Outcome.CRASH, f"the process was ended (SIGKILL), {MAX_ATTEMPTS} times"),
    ],
)
def test_a_death_is_one_answer_and_the_next_call_has_a_new_process(
    what: str, outcome: Outcome, reason: str, ask: Callable[[str], CallResult]
) -> None:
    answer = ask(what)
    assert answer.outcome is outcome
    assert reason in answer.reason
    assert ask("shift").outcome is Outcome.OK


def test_what_a_plugin_defines_itself_is_put_in_our_terms(ask: Callable[[str], CallResult]) -> None:
    matrix = ask("own-matrix").transform
    assert type(matrix) is Affine
    assert matrix.apply([[0, 0]]).tolist() == [[3, 0]]
    own = ask("own-transform").transform
    assert type(own) is DenseField
    assert own.apply([[10, 20]])[0] == pytest.approx([10 + np.sin(1), 20])


def test_a_transform_that_raises_is_a_crash_of_that_pair(
    ask: Callable[[str], CallResult],
) -> None:
    answer = ask("broken-transform")
    assert answer.outcome is Outcome.CRASH
    assert "its transform raised ZeroDivisionError" in answer.reason


def test_the_first_call_of_a_process_is_made_twice_where_it_is_timed(
    troublesome: Path, act: Act
) -> None:
    for warm_up, calls in ((True, "2"), (False, "1")):
        worker = Worker(WorkerSettings("troublesome", (troublesome,), warm_up=warm_up), 20)
        assert worker.call(Task(act("count"), act("octa"), 0)).reason == f"call {calls}"
        worker.close()


def test_numbers_of_numpy_become_pythons(ask: Callable[[str], CallResult]) -> None:
    answer = ask("numpy-values")
    assert [type(v) for v in answer.details.values()] == [int, float, bool]


def test_the_seed_is_all_that_chance_depends_on(worker: Worker, act: Act) -> None:
    def shift(seed: int) -> float:
        transform = worker.call(Task(act("random"), act("octa"), seed)).transform
        assert transform is not None
        return float(transform.apply([[0, 0]])[0, 0])

    first = shift(1)
    assert shift(2) != first
    assert shift(1) == first


def test_what_a_method_prints_stays_off_stdout(
    ask: Callable[[str], CallResult], capfd: pytest.CaptureFixture[str], worker: Worker
) -> None:
    worker.close()  # the process keeps the streams it was started with
    assert ask("talk").outcome is Outcome.OK
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "a method that prints" in captured.err
    worker.close()


def test_a_hanging_method_is_ended(troublesome: Path, act: Act) -> None:
    worker = Worker(WorkerSettings("troublesome", (troublesome,)), timeout_s=1)
    assert worker.call(Task(act("shift"), act("octa"), 0)).outcome is Outcome.OK
    process = worker._process
    answer = worker.call(Task(act("hang"), act("octa"), 0))
    assert (answer.outcome, answer.reason) == (Outcome.TIMEOUT, "no answer within 1 s")
    assert process is not None
    assert process.returncode is not None
    worker.close()


def test_the_warm_up_has_its_own_time(troublesome: Path, act: Act) -> None:
    """Twice 0.6 s fits into 1 s a call."""
    worker = Worker(WorkerSettings("troublesome", (troublesome,)), timeout_s=1)
    answer = worker.call(Task(act("slow"), act("octa"), 0))
    assert answer.outcome is Outcome.OK, answer.reason
    worker.close()


@pytest.mark.parametrize(
    ("how", "outcome", "reason"),
    [
        ("decline", Outcome.SKIPPED, "its weights are missing"),
        ("refuse", Outcome.SKIPPED, "not built on this machine"),
        ("raise", Outcome.CRASH, "setting it up raised RuntimeError: broken weights"),
        ("exit", Outcome.CRASH, "the process died (exit 3)"),
        ("hang", Outcome.CRASH, "not set up within"),
    ],
)
def test_a_method_that_cannot_be_set_up_says_so_for_every_pair(
    how: str, outcome: Outcome, reason: str, troublesome: Path, act: Act
) -> None:
    timeout = 0.2 if how == "hang" else 20
    worker = Worker(WorkerSettings(f"unready:how={how}", (troublesome,)), timeout)
    task = Task(act("shift"), act("octa"), 0)
    for _ in range(2):
        answer = worker.call(task)
        assert answer.outcome is outcome
        assert reason in answer.reason
    worker.close()


def test_workers_that_start_together_leave_the_environment_as_it_was(
    troublesome: Path, act: Act
) -> None:
    before = dict(os.environ)
    answers: dict[int, CallResult] = {}

    def call(threads: int) -> None:
        worker = Worker(WorkerSettings("troublesome", (troublesome,), threads=threads), 20)
        answers[threads] = worker.call(Task(act("threads"), act("octa"), 0))
        worker.close()

    callers = [threading.Thread(target=call, args=(n,)) for n in (2, 5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert {n: answer.reason for n, answer in answers.items()} == {2: "2", 5: "5"}
    assert dict(os.environ) == before


PARENT = """
import sys, threading, time
from pathlib import Path
import numpy as np
from imedbench.core.types import Image
from imedbench.runs.calls import Task
from imedbench.runs.services import WorkerSettings
from imedbench.runs.worker import Worker

if __name__ == "__main__":
    worker = Worker(WorkerSettings("troublesome", (Path(sys.argv[1]),)), 60)
    image = Image(np.zeros((8, 8), np.uint8), "shift")
    worker.call(Task(image, image, 0))
    print(worker._process.pid, flush=True)
    worker.call(Task(Image(image.pixels, "hang"), image, 0))
"""


def test_a_hanging_child_ends_with_its_killed_parent(troublesome: Path, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    command = [sys.executable, str(script), str(troublesome)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_an_answer_without_a_process_is_never_made_up(act: Act) -> None:
    worker = Worker(WorkerSettings("no-such-method"), 20)
    answer = worker.call(Task(act("shift"), act("octa"), 0))
    assert answer.outcome is Outcome.SKIPPED
    assert "there is no method named" in answer.reason
    assert np.isnan(answer.latency_ms or np.nan)
    worker.close()
