"""`imedbench new`: what it refuses; test_add_a_plugin.py holds that what it writes works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_names_and_folders_that_will_not_do_are_refused(
    tmp_path: Path, cli: Callable[..., Any]
) -> None:
    bad = cli("new", "method", "My Method", "--out", str(tmp_path / "a"))
    assert (bad.code, (tmp_path / "a").exists()) == (2, False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    full = cli("new", "method", "mine", "--out", str(tmp_path / "full"))
    assert full.code == 2
    assert "holds something already" in full.err
