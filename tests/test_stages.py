"""Stage times against a clock that is told the time."""

from __future__ import annotations

import threading

import pytest

from imedbench.core.stages import WallClock, collect_stages, stage


class CountingClock:
    """Each mark is one tick (1 ms) after the last."""

    def __init__(self) -> None:
        self.now = 0

    def mark(self) -> int:
        self.now += 1
        return self.now

    def milliseconds(self, start: int, end: int) -> float:
        return float(end - start)


def test_nothing_is_collected_outside_a_collector() -> None:
    with collect_stages(CountingClock()) as times:
        pass
    with stage("late"):
        pass
    assert times.milliseconds == {}


def test_idle_stage_allocates_nothing() -> None:
    assert stage("a") is stage("b")


def test_repeats_add_up_and_nested_stages_carry_their_path() -> None:
    with collect_stages(CountingClock()) as times:
        for _ in range(2):
            with stage("maps"):
                pass
        with stage("match"), stage("detect"):
            pass
    assert times.milliseconds == {"maps": 2.0, "match/detect": 1.0, "match": 3.0}


def test_a_stage_that_raises_is_kept_and_closed() -> None:
    with collect_stages(CountingClock()) as times:
        with pytest.raises(ValueError, match="broken"), stage("maps"):
            raise ValueError("broken")
        with stage("after"):
            pass
    assert times.milliseconds == {"maps": 1.0, "after": 1.0}


def test_an_inner_collector_takes_over_and_hands_back() -> None:
    with collect_stages(CountingClock()) as outer:
        with collect_stages(CountingClock()) as inner, stage("b"):
            pass
        with stage("a"):
            pass
    assert (list(outer.milliseconds), list(inner.milliseconds)) == (["a"], ["b"])


def test_another_thread_is_not_collected() -> None:
    def work() -> None:
        with stage("elsewhere"):
            pass

    with collect_stages(CountingClock()) as times:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert times.milliseconds == {}


def test_wall_clock_runs_forward_in_milliseconds() -> None:
    clock = WallClock()
    assert clock.milliseconds(1_000_000, 3_500_000) == 2.5
    assert clock.milliseconds(clock.mark(), clock.mark()) >= 0
