"""The HTML page, in a real browser where there is one, and what it holds where there is none."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imedbench.analysis.run import open_run, score_run
from imedbench.core.datasets import open_dataset
from imedbench.core.errors import BadInput
from imedbench.core.progress import NullProgress
from imedbench.reports.page import _scripts, write_page
from imedbench.reports.shown import choose_pairs
from imedbench.runs.config import RunConfig
from imedbench.runs.runner import run

NASTY = "troublesome:note=<script>alert(1)</script>|`x`"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)


def make_page(
    folder: Path, acts: list[str], methods: tuple[str, ...], plugin: Path, write: Any
) -> Path:
    data = write(folder / "data", acts)
    config = RunConfig(str(data), methods, folder / "run", ("multi-modal",), plugins=(plugin,))
    run(config, open_dataset(str(data)))
    opened = open_run(folder / "run")
    score_run(opened, ("mse", "rmse", "tre_mean", "tre_median", "tre_max", "tre_rms"))
    return write_page(opened, folder / "run", NullProgress())


@pytest.fixture(scope="module")
def page(
    tmp_path_factory: pytest.TempPathFactory, troublesome: Path, write_manifest: Callable[..., Path]
) -> Path:
    acts = ["shift", "mirror", "<b>x</b>", "give-up", "‏مرحبا"]
    methods = ("identity", NASTY, "sift")
    return make_page(tmp_path_factory.mktemp("page"), acts, methods, troublesome, write_manifest)


def data_of(page: Path) -> Any:
    text = page.read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found)


def test_one_file_that_asks_for_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    own = re.sub(r"<script>/\*\*\n\* plotly.*?</script>", "", text, flags=re.S)
    assert len(own) < len(text) - 1_000_000, "Plotly is there, once"
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", own)
    assert "default-src 'none'" in own
    assert len(text) < 20_000_000


def test_names_are_text_and_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<b>x</b>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert NASTY in data_of(page)["rows"]["method"]["names"]


def test_every_pair_that_went_wrong_is_in_the_viewer(page: Path) -> None:
    pairs = data_of(page)["pairs"]
    assert {pair["id"] for pair in pairs} == {f"p{n}" for n in range(5)}
    shown = {pair["id"]: pair for pair in pairs}
    assert f"{NASTY}: degenerate" in shown["p1"]["why"]
    assert [m["name"] for m in shown["p1"]["methods"]] == ["identity", NASTY, "sift"]
    assert {p["why"].split()[0] for p in pairs[:3]} == {"best", "median", "worst"}


def test_where_there_is_no_room_the_page_says_which_pairs_have_no_picture(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = data_of(page)
    enough_for_two = len(json.dumps(full["pairs"][:2])) + 4000
    used = sum(len(json.dumps(full[name])) for name in ("charts", "rows", "colours"))
    monkeypatch.setattr("imedbench.reports.page._FRAME_BYTES", 0)
    scripts = sum(map(len, _scripts("charts.js", "sort.js", "rows.js", "viewer.js")))
    monkeypatch.setattr("imedbench.reports.page.MOST_BYTES", scripts + used + enough_for_two)
    run = open_run(page.parent)
    small = write_page(run, tmp_path, NullProgress(), wanted=("p4",))
    data = data_of(small)
    drawn, undrawn = [p["id"] for p in data["pairs"]], [name for _, name, _ in data["undrawn"]]
    assert drawn[0] == "p4"
    assert undrawn
    wrong = {pair["id"] for pair in full["pairs"] if pair["why"]}
    assert wrong <= {*drawn, *undrawn}
    assert f"<strong>{len(undrawn)} pairs that failed" in small.read_text(encoding="utf-8")
    assert small.stat().st_size < page.stat().st_size
    with pytest.raises(BadInput, match="no pair 'nobody'"):
        write_page(run, tmp_path, NullProgress(), wanted=("nobody",))


def test_each_kind_of_mistake_has_its_turn_where_there_is_no_room_for_all() -> None:
    rows = [
        {
            "split": "s",
            "pair_id": f"p{n}",
            "method": method,
            "outcome": "timeout" if (method, n) == ("b", 8) else "no_transform",
            "tre_mean|identity": 1.0,
        }
        for n in range(9)
        for method in ("a", "b")
    ]
    table = pd.DataFrame(rows).assign(tre_mean=float("nan"))
    chosen = choose_pairs(table)
    (rare,) = [pair for pair in chosen if "timeout" in pair.why]
    common = [pair.turn for pair in chosen if pair not in (rare,) and "over all" not in pair.why]
    assert rare.turn <= min(common)
    assert len(chosen) == 9
    other = table[table["pair_id"] > "p3"].assign(split="t")
    both = choose_pairs(pd.concat([table, other]), ("p5",))
    assert len(both) == len({(pair.split, pair.pair_id) for pair in both}) == 9 + 5
    assert [(pair.split, pair.pair_id) for pair in both[:2]] == [("s", "p5"), ("t", "p5")]


@pytest.mark.parametrize(
    ("acts", "methods"),
    [
        (["raise", "raise"], ("troublesome",)),
        (["give-up", "give-up"], ("troublesome", "sift")),
        (["shift"], ("identity",)),
        (["shift", "raise"], ("identity", "troublesome")),
    ],
)
def test_poor_runs_have_a_page(
    acts: list[str],
    methods: tuple[str, ...],
    tmp_path: Path,
    troublesome: Path,
    write_manifest: Callable[..., Path],
) -> None:
    written = make_page(tmp_path, acts, methods, troublesome, write_manifest)
    text = written.read_text(encoding="utf-8")
    assert ("INCOMPLETE" in text.split("<main>")[1].split("</section>")[0]) == ("raise" in acts)
    for image in (tmp_path / "data").glob("*.png"):
        image.unlink()
    again = write_page(open_run(tmp_path / "run"), tmp_path / "again", NullProgress())
    assert all("missing" in pair for pair in data_of(again)["pairs"])


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("no chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.add_argument("--window-size=1280,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    opened = webdriver.Chrome(options=options, service=service)
    opened.set_script_timeout(30)
    yield opened
    opened.quit()


@pytest.fixture
def tab(browser: Any, page: Path) -> Any:
    browser.get("about:blank")
    browser.get(page.as_uri())
    return browser


def wait(tab: Any, script: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(tab, 20).until(lambda t: t.execute_script(f"return {script}"))


def pixels(tab: Any) -> str:
    """What the second method's canvas shows now."""
    wait(tab, "document.querySelectorAll('.tile canvas').length === 5")
    return str(
        tab.execute_script(
            "return document.querySelectorAll('.tile canvas')[2].toDataURL().slice(-4000)"
        )
    )


def press(tab: Any, keys: str) -> None:
    from selenium.webdriver.common.by import By

    tab.find_element(By.ID, "viewer").send_keys(keys)


def shown_pair(tab: Any) -> str:
    return str(tab.execute_script("return document.getElementById('pair').selectedOptions[0].text"))


def test_it_opens_without_a_complaint_and_draws_its_charts(tab: Any) -> None:
    charts = tab.execute_script("return document.querySelectorAll('.chart').length")
    assert charts >= 6
    tab.execute_script("document.querySelectorAll('.chart').forEach(c => c.scrollIntoView())")
    wait(tab, "document.querySelectorAll('.chart .main-svg').length > 0")
    tab.execute_script("document.getElementById('theme').click()")
    assert wait(tab, "document.documentElement.dataset.theme") in ("light", "dark")
    assert tab.get_log("browser") == []
    assert tab.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_tables_are_sorted_by_their_headings(tab: Any) -> None:
    column = (
        "[...document.querySelector('table.sortable').tBodies[0].rows]"
        ".map(r => parseFloat(r.cells[4].dataset.sort))"
    )
    heading = "document.querySelector('table.sortable').tHead.rows[0].cells[4]"
    tab.execute_script(f"{heading}.querySelector('button').click()")
    up = tab.execute_script(f"return {column}")
    assert up == sorted(up)
    tab.execute_script(f"{heading}.querySelector('button').click()")
    assert tab.execute_script(f"return {column}") == sorted(up, reverse=True)
    assert tab.execute_script(f"return {heading}.getAttribute('aria-sort')") == "descending"


def test_rows_are_filtered(tab: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    assert "15 of 15 rows" in tab.find_element(By.ID, "page").text
    Select(tab.find_element(By.ID, "filter-method")).select_by_visible_text("identity")
    assert "5 of 15 rows" in tab.find_element(By.ID, "page").text
    tab.find_element(By.ID, "search").send_keys("p3")
    assert "1 of 15 rows" in tab.find_element(By.ID, "page").text


def test_the_viewer_is_driven_by_keys_and_links(tab: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    first = shown_pair(tab)
    press(tab, Keys.ARROW_RIGHT)
    assert shown_pair(tab) != first
    assert "pair=multi-modal/" in tab.current_url.replace("%2F", "/")
    press(tab, Keys.ARROW_LEFT)
    assert shown_pair(tab) == first
    tab.execute_script("location.hash = '#pair=multi-modal/p3'")
    wait(tab, "document.getElementById('pair').selectedOptions[0].text.includes('p3')")


def test_slider_flicker_and_the_other_modes_change_what_is_seen(tab: Any) -> None:
    before = pixels(tab)
    tab.execute_script(
        "const at = document.getElementById('at'); at.value = 5;"
        " at.dispatchEvent(new Event('input'))"
    )
    assert pixels(tab) != before
    seen = set()
    for mode in ("checkerboard", "difference", "grid", "matches"):
        tab.execute_script(f"document.querySelector('[data-mode={mode}]').click()")
        seen.add(pixels(tab))
    assert len(seen) == 4
    press(tab, " ")
    pressed = "document.querySelector('[data-mode=flicker]').getAttribute('aria-pressed')"
    assert wait(tab, pressed) == "true"
    fixed = pixels(tab)
    wait(
        tab,
        "document.querySelectorAll('.tile canvas')[2].toDataURL().slice(-4000)"
        f" !== {json.dumps(fixed)}",
    )


@pytest.fixture(scope="module")
def hostile(
    tmp_path_factory: pytest.TempPathFactory, troublesome: Path, write_manifest: Callable[..., Path]
) -> Path:
    """Names of 300 characters, with markup, from right to left, and one whose images are gone."""
    folder = tmp_path_factory.mktemp("hostile")
    data = write_manifest(folder / "data", ["shift", "mirror", "shift", "give-up"])
    text = data.read_text()
    for n, name in enumerate(["../<img src=x onerror=alert(1)>", "x" * 300, "مرحبا `|`", "gone"]):
        text = text.replace(f"\np{n},", f"\n{name},")
    data.write_text(text)
    methods = (
        "identity",
        "troublesome:note=<script>alert(2)</script>",
        "troublesome:note=" + "y" * 300,
    )
    config = RunConfig(str(data), methods, folder / "run", ("multi-modal",), plugins=(troublesome,))
    run(config, open_dataset(str(data)))
    opened = open_run(folder / "run")
    score_run(opened, ("mse", "rmse", "tre_mean"))
    (folder / "data" / "3-fixed.png").unlink()
    return write_page(open_run(folder / "run"), folder / "page", NullProgress())


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_names_stay_text_and_break_no_layout(
    browser: Any, hostile: Path, width: int
) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.get("about:blank")
        browser.get(hostile.as_uri())
        names = browser.execute_script(
            "return [...document.getElementById('pair').options].map(o => o.text)"
        )
        assert any("<img src=x onerror=alert(1)>" in name for name in names)
        for n in range(len(names)):
            browser.execute_script(
                "const s = document.getElementById('pair'); s.value = arguments[0];"
                " s.dispatchEvent(new Event('change'))",
                str(n),
            )
            wait(browser, "document.querySelectorAll('.tile').length >= 1")
            fits = "return document.documentElement.scrollWidth <= innerWidth"
            assert browser.execute_script(fits)
        assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
        assert browser.get_log("browser") == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_pair_without_a_picture_shows_what_is_known_of_it(
    browser: Any, page: Path, tmp_path: Path
) -> None:
    text = page.read_text(encoding="utf-8")
    data = data_of(page)
    (gone,) = [pair for pair in data["pairs"] if pair["id"] == "p3"]
    data["pairs"].remove(gone)
    data["undrawn"] = [[gone["split"], gone["id"], gone["why"]]]
    start, end = (
        text.index('id="data">') + len('id="data">'),
        text.index("</script>", text.index('id="data">')),
    )
    made = json.dumps(data).replace("<", "\\u003c")
    (tmp_path / "page.html").write_text(text[:start] + made + text[end:], encoding="utf-8")
    browser.get((tmp_path / "page.html").as_uri() + "#pair=multi-modal/p3")
    wait(browser, "document.querySelector('.tile')?.textContent.includes('Not drawn')")
    tiles = browser.execute_script(
        "return [...document.querySelectorAll('.tile')].map(t => t.textContent)"
    )
    assert "--pair 'p3'" in tiles[0]
    assert len(tiles) == 1 + 3
    assert any("nothing to hold on to" in tile for tile in tiles)
    assert browser.get_log("browser") == []


def test_it_fits_a_telephone_and_a_dark_room(tab: Any) -> None:
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    tab.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    try:
        tab.refresh()
        assert tab.execute_script("return document.documentElement.scrollWidth") == 390
        assert tab.execute_script("return document.documentElement.dataset.theme") == "dark"
    finally:
        tab.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        tab.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
