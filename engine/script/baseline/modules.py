"""The files that a script is made of: it and every module of the user's own that it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from progtrain.engine.errors import in_file
from progtrain.engine.files import read_text
from progtrain.engine.script.editor import Source
from progtrain.engine.script.nodes import assignments, calls, dotted, text_of
from progtrain.engine.script.settings import parse_script


@dataclass(eq=False)
class Module:
    """One file of the user's own."""

    path: Path
    source: Source
    #: module name -> module, for those that lie in the workspace
    imported: dict[str, Module] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.source.text

    @property
    def tree(self) -> ast.Module:
        return self.source.tree

    @cached_property
    def names(self) -> dict[str, list[ast.expr]]:
        """What is assigned to names at module level, `if` blocks included."""
        found: dict[str, list[ast.expr]] = {}
        for target, value in assignments(self.tree):
            if isinstance(target, ast.Name):
                found.setdefault(target.id, []).append(value)
        return found

    def imported_name(self, name: str) -> tuple[Module, str] | None:
        """The module of the user's own that it comes from, and its name there."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module in self.imported:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self.imported[node.module], alias.name
        return None


def load_modules(script: Path, texts: Mapping[Path, str] | None = None, copies: Path | None = None) -> list[Module]:
    """The script and every module of the user's own that it imports, found beside it; the script first.

    `texts` stand for files as they will be; in the folder `copies` is looked first. Raises `InputError` for a file that
    is no Python.
    """
    found: dict[Path, Module] = {}
    _load(script, [*([copies] if copies else []), script.parent], found, texts or {})
    return list(found.values())


def _load(path: Path, roots: Sequence[Path], found: dict[Path, Module], texts: Mapping[Path, str]) -> Module:
    if path in found:
        return found[path]
    text = texts[path] if path in texts else read_text(path)
    with in_file(path):
        names, added = _imports(text)
    module = found[path] = Module(path, Source(text))
    folders = (*roots, path.parent, *(root / folder for root in roots for folder in added))
    there = {folder: _names_in(folder, texts) for folder in folders}
    for name in names:
        top = name.partition(".")[0]
        for folder in (folder for folder in folders if not there[folder].isdisjoint((top, f"{top}.py"))):
            stem = folder / name.replace(".", "/")
            tried = (stem.with_suffix(".py"), stem / "__init__.py")
            file = next((p for p in tried if p in texts or p.is_file()), None)
            if file is not None and file != path:
                module.imported[name] = _load(file, roots, found, texts)
                break
    return module


def _names_in(folder: Path, texts: Mapping[Path, str]) -> set[str]:
    coming = {path.relative_to(folder).parts[0] for path in texts if path.is_relative_to(folder)}
    return coming.union(path.name for path in folder.iterdir()) if folder.is_dir() else coming


@lru_cache(maxsize=512)
def _imports(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What it imports, and the folders that it adds to `sys.path`. Raises `InputError` for what is no Python."""
    tree = parse_script(text)
    return tuple(dict.fromkeys(imported_names(tree))), tuple(search_path(tree))


def search_path(tree: ast.Module) -> Iterator[str]:
    """Folders that the script adds to `sys.path`, as far as they are plain texts."""
    for call in calls(tree, "insert", "append"):
        folder = text_of(call.args[-1]) if call.args else None
        if folder is not None and dotted(call.func).startswith("sys.path."):
            yield folder


def imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
