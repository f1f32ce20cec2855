"""What is read from outside is understood or refused as bad input, whatever it is."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imedbench.core.errors import ImedbenchError
from imedbench.core.options import PluginSpec
from imedbench.core.registry import METHODS
from imedbench.core.text import as_text
from imedbench.core.transforms import Affine, DenseField, from_bytes, from_dict, to_bytes, to_dict
from imedbench.datasets.manifest import Manifest
from imedbench.methods.weights import read_card
from imedbench.runs.calls import CallResult
from imedbench.runs.config import read_run
from imedbench.runs.wire import Answer, Garbled, Question, decode, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
many = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(text=st.text(max_size=60) | st.from_regex(r"[a-z+]{1,9}(:[a-z_]{1,6}=[-0-9a-z.]{0,5}){0,3}"))
def test_specs(text: str) -> None:
    with suppress(ImedbenchError):
        spec = PluginSpec.parse(text)
        METHODS.create(spec)


@many
@given(content=JSON)
def test_run_files(content: Any, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8", errors="replace")
    with pytest.raises(ImedbenchError):
        read_run(tmp_path)


@many
@given(key=st.sampled_from(["data", "seed", "device", "threads", "timeout_s"]), value=JSON)
def test_settings_of_runs(key: str, value: Any, tmp_path: Path) -> None:
    config = {"data": "d", "data_version": "1", "seed": 0, "device": "cpu", "threads": 1}
    content = {"config": {**config, "timeout_s": 1.0, key: value}, "plugins": [], "provenance": {}}
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    with suppress(ImedbenchError):
        assert type(read_run(tmp_path)["config"][key]) in (str, int, float)


@many
@given(content=st.dictionaries(st.sampled_from(["kind", "matrix", "steps", "x"]), JSON))
def test_transforms_as_json(content: dict[str, Any]) -> None:
    for kind in (content.get("kind"), "affine", "homography", "dense", "composition", "inverse"):
        with suppress(ImedbenchError):
            from_dict({**content, "kind": kind})


@many
@given(content=st.binary(max_size=300), cut=st.integers(0, 400))
def test_transform_files(content: bytes, cut: int) -> None:
    whole = to_bytes(DenseField(np.zeros((4, 5, 2))))
    for damaged in (content, whole[:cut], whole[:cut] + content + whole[cut + len(content) :]):
        with suppress(ImedbenchError):
            from_bytes(damaged)


@many
@given(content=JSON)
def test_cards(content: Any, tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "w.safetensors").write_bytes(b"")
    with suppress(ImedbenchError):
        read_card("w", tmp_path)


@many
@given(
    cells=st.lists(st.lists(st.text(max_size=12), max_size=5), max_size=5),
    raw=st.binary(max_size=200),
)
def test_manifests(cells: list[list[str]], raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    lines = [",".join(row) for row in [["pair_id", "fixed", "moving"], *cells]]
    for content in (
        "\n".join(lines).encode(errors="replace"),
        raw,
        b"pair_id,fixed,moving\n" + raw,
    ):
        path.write_bytes(content)
        with suppress(ImedbenchError):
            assert Manifest(root=path).refs("multi-modal")


@many
@given(content=st.binary(max_size=400))
def test_messages_of_workers(content: bytes) -> None:
    for kind in (Answer, Question, CallResult):
        with suppress(Garbled):
            decode(kind, content)


@many
@given(text=st.text(max_size=80), number=st.floats(), count=st.integers(-(2**63), 2**63 - 1))
def test_answers_come_through_as_they_are(text: str, number: float, count: int) -> None:
    details = {as_text(text): as_text(text), "n": count, "x": number, "b": True}
    from imedbench.core.types import Outcome

    result = CallResult(Outcome.OK, as_text(text), Affine.identity(), 0.5, 1.0, {}, details)
    again = decode(CallResult, encode(result))
    assert again.reason == result.reason
    assert repr(again.details) == repr(result.details)
    assert again.transform is not None
    assert to_dict(again.transform) == to_dict(Affine.identity())


@many
@given(text=st.text(max_size=300))
def test_a_strangers_text_fits_on_one_line(text: str) -> None:
    told = as_text(text)
    assert told.isprintable()
    told.encode()
    assert len(told) <= 500
