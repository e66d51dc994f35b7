"""Links, anchors and file names in what people read lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "AGENTS.md", "CONTRIBUTING.md", "CHANGELOG.md", "models/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
OURS = ("engine", "advisor", "tui", "benchmarks", "models", "tests", "docs", "examples")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
#: `engine/files.py`, `rules/goal.py`, `host.py`: whole paths and ends of paths
FILE = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.py)`")
#: `engine/rules/`, `models/recipe`
PLACE = re.compile(rf"`((?:{'|'.join(OURS)})/[\w./-]+)`")
#: what users have in their workspaces, and what the guides name as examples of what may be added
THEIRS = re.compile(
    r"0\d_\w+\.py|config\.py|inference_sample\.py|(?:\w+/)*NAME\.py|tui/screens/times\.py"
    r"|engine/script/action/recipes/gelu\.py"
)


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings: words in small letters, spaces as hyphens, other characters left out."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", _prose(page), flags=re.M):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        found.add(words.strip().replace(" ", "-"))
    return found


def broken_links(page: Path) -> list[str]:
    found = []
    for link in LINK.findall(_prose(page)):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


def _ours() -> list[str]:
    return [f"/{path.relative_to(ROOT).as_posix()}" for top in OURS for path in (ROOT / top).rglob("*.py")]


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `title`, here\n[a](#a-title-here) [b](#b) [c](page.md#c) [d](gone.md) ![e](page.md)\n")
    assert broken_links(page) == ["#b", "page.md#c", "gone.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name)
def test_pages_link_to_nothing_that_is_not_installed_with_them(page: Path) -> None:
    """A wheel and the site have `docs/` alone."""
    assert [link for link in LINK.findall(_prose(page)) if link.startswith("../")] == []


def test_the_site_has_every_page_and_fetches_nothing() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = [page for entry in site["nav"] for page in _pages(entry)]
    assert sorted(named) == sorted(p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md"))
    assert site["theme"]["font"] is False


def _pages(entry: str | list[Any] | dict[str, Any]) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in _pages(part)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_named_files_exist(page: Path) -> None:
    ours, text = _ours(), _prose(page)
    named = {name for name in FILE.findall(text) if not THEIRS.fullmatch(name)}
    gone = {name for name in named if not any(path.endswith(f"/{name}") for path in ours)}
    gone |= {name for name in PLACE.findall(text) if not THEIRS.fullmatch(name) and not (ROOT / name).exists()}
    assert sorted(gone) == []


def _answers() -> list[tuple[str, str]]:
    """(file, function) of each answer in the guide's table of questions."""
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| Where ")]
    found = [
        (file, name)
        for row in rows
        for file, names in re.findall(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", row)
        for name in re.findall(r"\w+", names)
    ]
    assert len(rows) == 11
    assert {file for file, _ in found} == {file for row in rows for file in FILE.findall(row)}
    return found


@pytest.mark.parametrize(("file", "name"), _answers())
def test_the_guides_answers_are_in_the_files_that_it_names(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    tables = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in _names(node)}
    assert name in tables | {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _names(node: ast.Assign) -> list[ast.Name]:
    return [target for target in node.targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`make ([\w-]+)", (ROOT / "CONTRIBUTING.md").read_text()))))
def test_the_guides_make_targets_exist(name: str) -> None:
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), flags=re.M)
