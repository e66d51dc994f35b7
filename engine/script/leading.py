"""The imports with which a script begins, before it does anything else but what `before_imports.py` knows.

A process that has run just these, in the same order, is what a new interpreter would be at that point of the script:
it may be forked for it (`engine/jobs/warm.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.files import read_text
from progtrain.engine.script import before_imports

#: what takes seconds to import
_LONG = frozenset({"torch", "lightning", "pytorch_lightning", "transformers", "trl", "accelerate"})


#: file and first statement that ends them
_Stop = tuple[Path, ast.stmt]


def leading_imports(script: Path) -> tuple[list[str], list[str], str]:
    """Import statements of packages with what is set up between them, folders that the script adds to `sys.path`
    meanwhile, and what else is to be said: why there are no imports that take long, if so.

    Each statement stands on the line of its file, after as many empty ones, for the warnings that name it. Local
    modules are looked into, and not imported. Empty for a file that is no Python.
    """
    found: list[str] = []
    folders: list[str] = []
    try:
        stopped = _read(script, script, found, folders, set())
    except (InputError, SyntaxError, ValueError):
        return [], [], ""
    if _LONG & {name for statement in found for name in _top_level(ast.parse(statement))}:
        return found, folders, ""
    if stopped is None or not _LONG & set(_top_level(ast.parse(read_text(script)))):
        return [], [], ""
    path, node = stopped
    return [], [], f"{path.name}, line {node.lineno}, comes before the imports that take long"


def _read(path: Path, script: Path, found: list[str], folders: list[str], seen: set[Path]) -> _Stop | None:
    """Adds to what is found; gives the first statement that does something else, None where the file has none."""
    seen.add(path)
    modules: dict[str, str] = {}
    paths: dict[str, str] = {}
    for node in (part for line in ast.parse(read_text(path)).body for part in _single(line)):
        if before_imports.learn_path(node, path, modules, paths) or _does_nothing(node):
            continue
        added = before_imports.folders_added(node, path, modules, paths) if path == script else None
        if added is not None:
            folders += added
            continue
        if not _only_imports(node) and not (path == script and before_imports.sets_up(node, modules)):
            return path, node
        local = [file for name in _names(node) for file in _local_files(name, script, folders)]
        if not local:
            before_imports.learn_import(node, modules)
            found.append("\n" * (node.lineno - 1) + ast.unparse(node))
            continue
        if not isinstance(node, ast.Import | ast.ImportFrom):
            return path, node
        for file in local:
            stopped = _read(file, script, found, folders, seen) if file not in seen else None
            if stopped is not None:
                return stopped
    return None


def _local_files(name: str, script: Path, folders: list[str]) -> Iterator[Path]:
    for folder in ["", *folders]:
        yield from _files(name, script.parent / folder)


def _single(node: ast.stmt) -> Iterator[ast.stmt]:
    """`import a, b` as two."""
    if isinstance(node, ast.Import):
        yield from (ast.copy_location(ast.Import([alias]), node) for alias in node.names)
    else:
        yield node


def _does_nothing(node: ast.stmt) -> bool:
    """A text, a constant, an import for types alone."""
    if isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Constant):
        return not isinstance(node, ast.Assign) or all(isinstance(target, ast.Name) for target in node.targets)
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") and not node.orelse
    return isinstance(node, ast.Pass) or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


def _only_imports(node: ast.stmt) -> bool:
    """An import, or one that is tried."""
    if isinstance(node, ast.Try):
        parts = [*node.body, *node.orelse, *node.finalbody, *(line for h in node.handlers for line in h.body)]
        caught = all(h.type is not None and "Import" in ast.unparse(h.type) for h in node.handlers)
        return caught and all(_does_nothing(part) or _only_imports(part) for part in parts)
    return isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not node.level)


def _names(node: ast.AST) -> Iterator[str]:
    """Modules, and what may be one, in the order in which they are imported."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            yield from (f"{part.module}.{alias.name}" for alias in part.names)


def _top_level(node: ast.AST) -> Iterator[str]:
    return (name.partition(".")[0] for name in _names(node))


def _files(name: str, root: Path) -> Iterator[Path]:
    """Of a module beside the script: those of the packages around it first."""
    folder = root
    for part in name.split("."):
        there = (folder / part / "__init__.py", folder / f"{part}.py")
        yield from (file for file in there if file.is_file())
        folder /= part
