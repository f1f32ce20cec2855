"""What others see first: links, the page of a package index, citation, workflows, the site."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import imedbench

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]

pytestmark = pytest.mark.skipif(not PAGES, reason="not run from a checkout")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def long_description() -> str:
    handed: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **arguments: handed.update(arguments))
        runpy.run_path(str(ROOT / "setup.py"))
    return handed["long_description"]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub and the site make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists() or target.name == "commands.md", f"{page.name}: {link}"
        assert not anchor or anchor in headings(target), f"{page.name}: {link}"


def test_the_readme_stands_alone_on_a_package_index(long_description: str) -> None:
    markdown = pytest.importorskip("readme_renderer.markdown")
    html = markdown.render(long_description)
    assert html is not None
    targets = re.findall(r'(?:href|src)="([^"]*)"', html)
    assert all(target.startswith(("https://", "#")) for target in targets), targets
    assert "<table>" in html
    assert "<!--" not in html
    assert len(long_description) > 0.8 * len((ROOT / "README.md").read_text(encoding="utf-8"))


def test_the_citation_names_this_version(project: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    for people in (citation["authors"], *(r["authors"] for r in citation["references"])):
        assert all("name" in one or {"family-names", "given-names"} <= set(one) for one in people)


def test_the_changelog_begins_with_this_version(project: dict[str, Any]) -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## (\S+)", changes, re.MULTILINE)
    assert first is not None
    assert first[1] == project["version"]


def test_the_workflow_tries_every_python_that_is_promised(project: dict[str, Any]) -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    tried = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    promised = [c.rsplit(" ", 1)[1] for c in project["classifiers"] if ":: 3." in c]
    assert tried == promised
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"make test", "make docs"} <= set(steps)
    assert {s.removeprefix("make ") for s in steps if s.startswith("make ")} <= targets


def test_every_extra_is_named_in_the_tutorial(project: dict[str, Any]) -> None:
    text = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    for_users = set(project["optional-dependencies"]) - {"dev", "mutation"}
    assert for_users <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.M)
        assert set(named) <= targets, page


def test_issue_forms_have_what_forms_need() -> None:
    for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= set(form)
            kinds = {"markdown", "input", "textarea", "dropdown", "checkboxes"}
            assert {part["type"] for part in form["body"]} <= kinds
            assert all("label" in p["attributes"] for p in form["body"] if p["type"] != "markdown")


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    there = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}
    assert set(named) == there | {"reference/commands.md"}


def test_the_site_builds_strictly_and_loads_nothing(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("Makefile", "mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    package = Path(imedbench.__file__).parents[1]
    make = ("make", "--old-file=wheel", "docs", f"PY={sys.executable}", f"WHEEL_SITE={package}")
    ended = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    site = tmp_path / "build/site"
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    assert {"index.html", "tutorial.html", "reference/api.html"} <= pages
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"', html)
        loaded += re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect)"[^>]*href="([^"]+)"', html)
        assert not [target for target in loaded if target.startswith(("http", "//"))], page
    assert "imedbench.api.register" in (site / "reference/api.html").read_text(encoding="utf-8")
