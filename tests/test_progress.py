"""Plain progress lines, for logs and pipes."""

from __future__ import annotations

from imedbench.cli.progress import EVERY_S, ProgressLines


def test_a_line_every_ten_seconds_and_one_at_the_end() -> None:
    lines: list[str] = []
    now = [0.0]
    progress = ProgressLines("running", lines.append, lambda: now[0])
    progress.begin(100)
    for _ in range(40):  # found in the folder, in no time
        progress.row("sift", "p")
    progress.method("sift:ratio=0.7")
    for _ in range(60):
        now[0] += 1.25
        progress.row("sift:ratio=0.7", "p")
    progress.end()
    # The first rate counts what was found; the later ones only what is new.
    assert lines[0] == "running sift:ratio=0.7: 48 of 100, 4.8/s, 11 s left"
    assert lines[1] == "running sift:ratio=0.7: 56 of 100, 0.8/s, 55 s left"
    assert lines[-1] == "running: 100 of 100 in 1 min 15 s"
    assert len(lines) == 60 * 1.25 // EVERY_S + 1


def test_short_work_prints_nothing() -> None:
    lines: list[str] = []
    progress = ProgressLines("running", lines.append, lambda: 0.0)
    progress.begin(2)
    progress.row("a", "p")
    progress.end()
    assert lines == []
