"""The latency harness under a clock that is told the time, and methods that take a known time."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from imedbench.core.errors import BadInput, Declined
from imedbench.core.stages import stage
from imedbench.core.transforms import Affine
from imedbench.core.types import (
    GroundTruth,
    Image,
    ImagePair,
    MethodInfo,
    Outcome,
    Registration,
)
from imedbench.latency.calls import TimedCall, shuffled_rounds, timed_call, warm_up
from imedbench.latency.device import (
    HostBackend,
    HostMemory,
    autocast,
    backend_for,
    stated_threads,
)
from imedbench.latency.measure import measure_latency
from imedbench.latency.settings import LatencySettings, resized
from imedbench.latency.summary import quantiles
from imedbench.runs.environment import limited_threads

DONE = Registration(Affine.identity())


class ToldClock:
    """A host clock that stands still unless told, in ms."""

    def __init__(self) -> None:
        self.now = 0

    def mark(self) -> int:
        return self.now

    def milliseconds(self, start: int, end: int) -> float:
        return float(end - start)


@dataclass
class TimedMethod:
    """A method that takes the time it is told to."""

    clock: ToldClock
    milliseconds: Callable[[int], int] = lambda call: 10
    answer: Callable[[int], Registration] = lambda call: DONE
    info: MethodInfo = field(
        default_factory=lambda: MethodInfo("timed", "takes its time", "affine")
    )
    calls: int = 0
    device: str = ""
    seen: list[ImagePair] = field(default_factory=list)

    def prepare(self, device: str) -> None:
        self.clock.now += 5000
        self.device = device

    def register(self, fixed: Image, moving: Image) -> Registration:
        self.calls += 1
        with stage("work"):
            self.clock.now += self.milliseconds(self.calls)
        return self.answer(self.calls)


class StandingBackend(HostBackend):
    """The host with a told clock for stages too."""

    def __init__(self, clock: ToldClock) -> None:
        self.stage_clock = clock


def pair(pair_id: str, width: int = 32) -> ImagePair:
    image = Image(np.zeros((24, width), np.uint8), "cf")
    return ImagePair(pair_id, image, image)


PAIRS = [pair("a"), pair("b"), pair("c")]


# One call


def test_a_call_is_timed_from_start_to_answer_with_its_stages() -> None:
    clock = ToldClock()
    call = timed_call(TimedMethod(clock), PAIRS[0], StandingBackend(clock), clock)
    assert call == TimedCall("a", 10.0, Outcome.OK, {"work": 10.0})


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (MemoryError("full"), Outcome.OUT_OF_MEMORY),
        (type("OutOfMemoryError", (RuntimeError,), {})("full"), Outcome.OUT_OF_MEMORY),
        (Declined("no weights"), Outcome.SKIPPED),
        (ValueError("bad"), Outcome.CRASH),
    ],
)
def test_a_call_that_raises_keeps_its_time_and_says_why(error: Exception, outcome: Outcome) -> None:
    def fail(call: int) -> Registration:
        raise error

    clock = ToldClock()
    call = timed_call(TimedMethod(clock, answer=fail), PAIRS[0], StandingBackend(clock), clock)
    assert (call.outcome, call.milliseconds, call.stages) == (outcome, 10.0, {"work": 10.0})
    assert str(error) in call.reason


def test_the_real_clock_sees_time_pass() -> None:
    call = timed_call(TimedMethod(ToldClock()), PAIRS[0], HostBackend())
    assert call.milliseconds >= call.stages["work"] >= 0


# Warm-up


def warm_up_of(
    times: Callable[[int], int], at_least: int = 10, at_most: int = 50
) -> tuple[int, bool]:
    clock = ToldClock()
    method = TimedMethod(clock, times)
    found = warm_up(
        lambda p: timed_call(method, p, StandingBackend(clock), clock), PAIRS, at_least, at_most
    )
    assert found.first.milliseconds == times(1)
    assert found.calls == method.calls
    return found.calls, found.steady


def test_warm_up_ends_as_soon_as_two_windows_agree() -> None:
    assert warm_up_of(lambda call: 500 if call == 1 else 10) == (11, True)


def test_warm_up_goes_on_while_times_fall() -> None:
    # 10 ms from the 20th call on: windows of five agree once the earlier one's median is 10 ms.
    calls, steady = warm_up_of(lambda call: max(10, 200 - 10 * call))
    assert steady
    assert 25 <= calls <= 29


def test_warm_up_gives_up_and_says_so() -> None:
    assert warm_up_of(lambda call: 2**call, at_most=20) == (20, False)


def test_warm_up_is_no_shorter_than_asked() -> None:
    assert warm_up_of(lambda call: 10, at_least=30) == (30, True)


def test_every_size_is_warmed_once() -> None:
    seen: list[str] = []

    def call(of: ImagePair) -> TimedCall:
        seen.append(of.pair_id)
        return TimedCall(of.pair_id, 10.0, Outcome.OK)

    pairs = [pair("a"), pair("b", 64), pair("c"), pair("d", 64), pair("e", 48)]
    found = warm_up(call, pairs, 10, 50)
    assert Counter(seen) == {"a": 11, "b": 1, "e": 1}
    assert found.calls == 13


# Rounds


def test_rounds_interleave_methods_on_one_pair_and_cycle_through_pairs() -> None:
    rounds = list(shuffled_rounds(["m", "n", "o"], PAIRS, 300, seed=1))
    assert len(rounds) == 300
    for each in rounds:
        assert sorted(name for name, _ in each) == ["m", "n", "o"]
        assert len({of.pair_id for _, of in each}) == 1
    assert Counter(each[0][1].pair_id for each in rounds) == {"a": 100, "b": 100, "c": 100}
    first = Counter(each[0][0] for each in rounds)
    assert min(first[name] for name in "mno") > 70  # each method leads about a third of the rounds


def test_rounds_are_repeatable() -> None:
    def order(seed: int) -> list[list[tuple[str, str]]]:
        rounds = shuffled_rounds(["m", "n"], PAIRS, 20, seed)
        return [[(name, of.pair_id) for name, of in each] for each in rounds]

    assert order(1) == order(1)
    assert order(1) != order(2)


# Figures


def test_quantiles_of_known_times() -> None:
    found = quantiles(range(1, 101))
    assert found.n == 100
    assert (found.p50.estimate, found.p90.estimate) == pytest.approx((50.5, 90.1))
    assert found.p50.low < 50.5 < found.p50.high
    assert found.p95.is_bounded
    assert found.p99 is None


def test_p99_only_from_a_thousand_calls_on() -> None:
    assert quantiles(range(999)).p99 is None
    p99 = quantiles(range(1000)).p99
    assert p99 is not None
    assert p99.estimate == pytest.approx(989.01)


# The whole


def measured(methods: dict[str, TimedMethod], clock: ToldClock, **settings: object):  # type: ignore[no-untyped-def]
    chosen = LatencySettings(**settings)  # type: ignore[arg-type]
    return measure_latency(methods, PAIRS, StandingBackend(clock), chosen, wall=clock)


def test_report_keeps_first_warm_and_timed_calls_apart() -> None:
    clock = ToldClock()
    method = TimedMethod(clock, lambda call: 700 if call == 1 else 20 if call < 5 else 10)
    report = measured({"m": method}, clock, repeats=40)
    found = report.methods[0]
    assert method.device == report.device == "cpu"
    assert found.first_call_ms == 700
    assert (found.warmup_calls, found.steady) == (12, True)
    assert (found.registered.n, found.registered.p50.estimate) == (40, 10)
    assert found.registered.p90.high == 10
    assert found.stages == {"work": 10}
    assert found.outcomes == {"ok": 40}
    assert (report.rounds, len(report.calls["m"])) == (40, 40)


def test_failed_calls_are_kept_and_labelled_and_do_not_flatter() -> None:
    clock = ToldClock()
    method = TimedMethod(
        clock,
        lambda call: 1 if call % 2 else 30,
        lambda call: Registration.failed("2 matches, 4 are needed") if call % 2 else DONE,
    )
    found = measured({"m": method}, clock, repeats=50, max_warmup=12).methods[0]
    assert found.outcomes == {"ok": 25, "no_transform": 25}
    assert found.reasons == {"2 matches, 4 are needed": 25}
    assert found.registered.p50.estimate == 30
    assert found.failed.p50.estimate == 1
    assert found.skipped == ""


class Wavering(TimedMethod):
    def register(self, fixed: Image, moving: Image) -> Registration:
        if self.calls % 3 == 0:
            with stage("again"):
                self.clock.now += 6
        return super().register(fixed, moving)


def test_a_stage_that_few_calls_enter_takes_most_no_time() -> None:
    clock = ToldClock()
    found = measured({"m": Wavering(clock)}, clock, repeats=30, max_warmup=12).methods[0]
    assert found.stages == {"work": 10, "again": 0}


def test_a_method_that_always_fails_has_no_latency_but_a_count() -> None:
    clock = ToldClock()
    method = TimedMethod(clock, answer=lambda call: Registration.failed("nothing"))
    found = measured({"m": method}, clock, repeats=10).methods[0]
    assert found.registered.n == 0
    assert math.isnan(found.registered.p50.estimate)
    assert found.failed.n == 10


def test_the_budget_ends_the_rounds_but_not_before_the_least() -> None:
    clock = ToldClock()
    slow = measured({"m": TimedMethod(clock, lambda call: 1000)}, clock, budget_s=20.0)
    assert slow.rounds == 21
    slower = measured({"m": TimedMethod(clock, lambda call: 90_000)}, clock, budget_s=20.0)
    assert slower.rounds == 5


class Refusing(TimedMethod):
    def prepare(self, device: str) -> None:
        raise Declined("its weights are missing")


def test_methods_that_decline_are_named_and_do_not_stop_the_others() -> None:
    def decline(call: int) -> Registration:
        raise Declined("colour images only")

    clock = ToldClock()
    methods = {
        "refusing": Refusing(clock),
        "declining": TimedMethod(clock, answer=decline),
        "good": TimedMethod(clock),
    }
    refusing, declining, good = measured(methods, clock, repeats=10).methods
    assert refusing.skipped == "its weights are missing"
    assert "colour images only" in declining.skipped
    assert (refusing.registered.n, declining.registered.n, good.registered.n) == (0, 0, 10)
    assert good.skipped == ""


class Truthful(TimedMethod):
    """Fails if images were not resized."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        assert fixed.size == (16, 12)
        return super().register(fixed, moving)


def test_images_are_resized_before_the_clock_starts() -> None:
    clock = ToldClock()
    found = measured({"m": Truthful(clock)}, clock, repeats=5, size=16).methods[0]
    assert found.outcomes == {"ok": 5}


def test_ground_truth_is_not_handed_on() -> None:
    known = ImagePair("a", PAIRS[0].fixed, PAIRS[0].moving, GroundTruth(spacing_um=5.0))
    assert resized(known, None).truth.spacing_um is None
    assert resized(known, 64).fixed.size == (64, 48)


def test_report_is_plain_enough_for_json() -> None:
    clock = ToldClock()
    report = measured({"m": TimedMethod(clock)}, clock, repeats=5)
    stored = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert stored["methods"][0]["failed"]["p50"]["estimate"] is None
    assert stored["methods"][0]["registered"]["p50"]["estimate"] == 10
    assert stored["settings"]["threads"] == 1
    assert stored["threads"]["opencv"] == 1


def test_nothing_to_measure_is_refused() -> None:
    clock = ToldClock()
    with pytest.raises(BadInput, match="at least one"):
        measure_latency({}, PAIRS, HostBackend())
    with pytest.raises(BadInput, match="at least one"):
        measure_latency({"m": TimedMethod(clock)}, [], HostBackend())


# Memory


def test_host_memory_from_the_kernels_files(tmp_path: Path) -> None:
    process = tmp_path / "99999999"
    process.mkdir()
    (process / "status").write_text("Name:\tx\nVmHWM:\t  4096 kB\nVmRSS:\t  2048 kB\n")
    (process / "clear_refs").write_text("")
    memory = HostMemory(99999999, tmp_path)
    memory.start_peak()
    assert (process / "clear_refs").read_text() == "5"
    assert (memory.now(), memory.peak()) == (2.0, 4.0)


def test_host_memory_is_unknown_without_them(tmp_path: Path) -> None:
    memory = HostMemory(99999999, tmp_path)
    memory.start_peak()
    assert memory.now() is None
    assert memory.peak() is None


class Hungry(TimedMethod):
    def register(self, fixed: Image, moving: Image) -> Registration:
        held: NDArray[np.uint8] = np.ones(200 * 2**20, np.uint8)
        assert held[-1] == 1
        return super().register(fixed, moving)


class HungryBeside(TimedMethod):
    """Has a process beside this one take memory and keep it."""

    def prepare(self, device: str) -> None:
        program = "import sys; sys.stdin.readline(); held = b'1' * (150 << 20); print(len(held))"
        program += "; sys.stdout.flush(); sys.stdin.read()"
        self.beside = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def register(self, fixed: Image, moving: Image) -> Registration:
        assert self.beside.stdin
        assert self.beside.stdout
        self.beside.stdin.write(b"\n")
        self.beside.stdin.flush()
        self.beside.stdout.readline()
        return super().register(fixed, moving)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can tell")
def test_memory_of_what_a_method_started_counts() -> None:
    method = HungryBeside(ToldClock())
    method.prepare("cpu")
    memory = HostMemory()
    memory.start_peak()
    before = memory.now()
    method.register(Image(np.zeros((9, 9), np.uint8)), Image(np.zeros((9, 9), np.uint8)))
    after = memory.peak()
    method.beside.kill()
    method.beside.communicate()
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(150, abs=20)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can tell")
def test_memory_of_one_call_is_what_it_takes_and_gives_back() -> None:
    clock = ToldClock()
    methods = {"hungry": Hungry(clock), "modest": TimedMethod(clock)}
    hungry, modest = measured(methods, clock, repeats=1, warmup=1, max_warmup=1).methods
    assert hungry.memory.host_call is not None
    assert modest.memory.host_call is not None
    assert hungry.memory.host_call == pytest.approx(200, abs=20)
    assert modest.memory.host_call < 20
    assert hungry.memory.device_call is None


# Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"repeats": 0},
        {"threads": 0},
        {"warmup": 60},
        {"budget_s": 0.0},
        {"precision": "fp8"},
        {"size": 3},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="latency"):
        LatencySettings(**wrong)  # type: ignore[arg-type]


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(BadInput, match="tpu"):
        backend_for("tpu")
    assert backend_for("cpu").device == "cpu"


def test_thread_counts_are_set_stated_and_given_back() -> None:
    import cv2
    import torch

    before = cv2.getNumThreads(), torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    with limited_threads(1):
        stated = stated_threads()
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert {"opencv", "torch"} <= set(stated)
    assert set(stated.values()) == {1}
    after = cv2.getNumThreads(), torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    assert after == before


class Late(TimedMethod):
    """Its library is loaded when it is prepared, with threads of its own liking."""

    def prepare(self, device: str) -> None:
        import torch

        torch.set_num_threads(2)


def test_libraries_that_come_with_a_method_are_limited_too() -> None:
    clock = ToldClock()
    assert measured({"m": Late(clock)}, clock, repeats=5).threads["torch"] == 1


def test_precision_reaches_torch_and_ends_with_the_context() -> None:
    import torch

    weights = torch.ones(4, 4)
    with autocast("bf16", "cpu"):
        assert (weights @ weights).dtype is torch.bfloat16
    with autocast("fp32", "cpu"):
        assert (weights @ weights).dtype is torch.float32


# The command


def test_the_command_prints_whole_numbers_of_a_narrow_terminal_and_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from typer.testing import CliRunner

    from imedbench.cli import app
    from imedbench.cli.terminal import output

    monkeypatch.setattr(output, "width", 80)
    asked = ["latency", "--methods", "identity,sift", "--data", "synthetic:size=96:pairs=2"]
    shown = CliRunner().invoke(app, [*asked, "--repeats", "3", "--size", "80"])
    assert shown.exit_code == 0, shown.output
    assert "identity" in shown.stdout
    assert "…" not in shown.stdout
    assert "Rounds: 3" in shown.stdout
    found = json.loads(CliRunner().invoke(app, [*asked, "--repeats", "3", "--json"]).stdout)
    assert [m["name"] for m in found["methods"]] == ["identity", "sift"]
    assert found["methods"][0]["outcomes"] == {"ok": 3}
