"""Which way imports run, and what is never imported where people wait."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {"tui": {"tui", "engine", "advisor"}, "engine": {"engine", "advisor"}, "advisor": {"advisor"}}
HEAVY = {"torch", "lightning", "pandas", "llama_cpp", "sklearn", "torchmetrics", "numpy"}
#: where heavy packages work: run as the user's own scripts, in the user's interpreter, or in the advisor's process
AT_WORK = (
    "engine/templates/",
    "engine/live/",
    "advisor/llama/model.py",
    "advisor/llama/session.py",
    "advisor/worker.py",
)

LINES_OF_A_MODULE = 400
LINES_OF_A_FUNCTION = 50


def _modules() -> list[Path]:
    return [path for package in ALLOWED for path in sorted((ROOT / package).rglob("*.py"))]


def _imports(tree: ast.AST, top_level_only: bool = False) -> set[str]:
    nodes = ast.iter_child_nodes(tree) if top_level_only else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = {name for name in _imports(ast.parse(path.read_text())) if name.startswith("progtrain.")}
    assert {name.split(".")[1] for name in names} <= ALLOWED[package]


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_heavy_packages_are_imported_only_where_they_work(path: Path) -> None:
    if path.relative_to(ROOT).as_posix().startswith(AT_WORK):
        return
    top = {name.split(".")[0] for name in _imports(ast.parse(path.read_text()), top_level_only=True)}
    assert not top & HEAVY


def _runs_never(tree: ast.AST) -> set[ast.AST]:
    """Imports for types alone."""
    blocks = (n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    return {inside for block in blocks for line in block.body for inside in ast.walk(line)}


def _imported_modules(path: Path, modules: dict[str, Path]) -> set[str]:
    """Ours, wherever in the module they are imported: inside a function too."""
    tree = ast.parse(path.read_text())
    never, found = _runs_never(tree), set[str]()
    for node in (n for n in ast.walk(tree) if n not in never):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part if part in modules else node.module for part in parts.values()}
    return found & modules.keys()


def test_there_is_no_cycle() -> None:
    modules = {
        ".".join(("progtrain", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in _modules()
    }
    graph = {name: _imported_modules(path, modules) - {name} for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for other in graph[name]:
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_modules_and_functions_have_a_size_to_read() -> None:
    sources = [*_modules(), *sorted((ROOT / "models").rglob("*.py"))]
    # a template is one file, since it is copied into a workspace as it is
    parts = [path for path in sources if "templates" not in path.parts]
    long_modules = {
        path.relative_to(ROOT).as_posix() for path in parts if len(path.read_text().splitlines()) > LINES_OF_A_MODULE
    }
    long_functions = {
        f"{path.relative_to(ROOT).as_posix()}:{node.name}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LINES_OF_A_FUNCTION
    }
    assert (long_modules, long_functions) == (set(), set())


def test_status_imports_nothing_heavy(tmp_path: Path) -> None:
    """It answers at once."""
    code = (
        "import sys; from progtrain.engine.cli.main import main; main(['-C', sys.argv[1], 'status']);"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
