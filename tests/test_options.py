"""Options of plugins as people type them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imedbench.core.errors import BadInput
from imedbench.core.options import PluginSpec, bind_options, option_defaults, option_types

words = st.from_regex(r"[a-z][a-z_]{0,6}", fullmatch=True)


class Plugin:
    """Has one option of every type."""

    def __init__(
        self,
        *,
        ratio: float = 0.8,
        count: int = 3,
        fast: bool = False,
        model: Literal["affine", "homography"] = "affine",
        where: Path = Path("x"),
        limit: int | None = None,
        note: str = "",
    ) -> None: ...


def bind(text: str) -> dict[str, Any]:
    return bind_options(Plugin, PluginSpec.parse(text), "method")


@given(name=words, options=st.dictionaries(words, words, max_size=4))
def test_a_spec_survives_its_text(name: str, options: dict[str, str]) -> None:
    spec = PluginSpec(name, dict(sorted(options.items())))
    assert PluginSpec.parse(str(spec)) == spec


@given(options=st.permutations(["b=1", "a=2", "c=3"]))
def test_the_order_of_options_does_not_matter(options: list[str]) -> None:
    assert str(PluginSpec.parse(":".join(["m", *options]))) == "m:a=2:b=1:c=3"


def test_values_may_hold_colons_and_names_dashes() -> None:
    spec = PluginSpec.parse("synthetic:stress=blur:2.5:max-size=9")
    assert spec.options == {"stress": "blur:2.5", "max_size": "9"}


@pytest.mark.parametrize("text", ["", ":a=1", "a=1", "sift:", "  "])
def test_malformed_specs_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="form NAME"):
        PluginSpec.parse(text)


@pytest.mark.parametrize("text", ["m:a=1:a=2", "m:a=1:a=1", "m:a-b=1:a_b=2"])
def test_an_option_given_twice_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="twice"):
        PluginSpec.parse(text)


def test_text_becomes_the_annotated_type() -> None:
    bound = bind("p:ratio=0.5:count=4:fast=on:model=homography:where=/a:limit=7:note=5")
    assert bound == {
        "ratio": 0.5,
        "count": 4,
        "fast": True,
        "model": "homography",
        "where": Path("/a"),
        "limit": 7,
        "note": "5",
    }
    assert bind("p:limit=none") == {"limit": None}
    assert bind("p:fast=No") == {"fast": False}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p:ratoi=1", "no option 'ratoi'; did you mean ratio"),
        ("p:zzz=1", "it has: ratio, count, fast, model, where, limit, note"),
        ("p:count=2.5", "not a whole number"),
        ("p:ratio=big", "not a number"),
        ("p:ratio=nan", "not a number"),
        ("p:fast=1", "say on or off"),
        ("p:model=rigid", "choose one of affine, homography"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        bind(text)
    assert "\n" not in str(caught.value)


def test_a_needed_option_is_asked_for() -> None:
    def factory(*, root: Path, size: int = 3) -> None: ...

    with pytest.raises(BadInput, match=r"data set 'own' needs its option root: own:root=…"):
        bind_options(factory, PluginSpec.parse("own:size=2"), "data set")
    assert bind_options(factory, PluginSpec.parse("own:root=a"), "data set") == {"root": Path("a")}


def test_types_and_defaults_are_told() -> None:
    assert option_types(Plugin)["count"] is int
    assert option_defaults(Plugin)["model"] == "affine"

    class Bare:
        """Has no constructor of its own."""

    assert option_types(Bare) == {}
    assert option_defaults(lambda: None) == {}
