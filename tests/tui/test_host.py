"""Screens ask the app through `host.Host` alone."""

from __future__ import annotations

import ast
from pathlib import Path

import progtrain.tui


def test_only_what_starts_it_imports_the_app() -> None:
    folder = Path(progtrain.tui.__path__[0])
    importing = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "progtrain.tui.app"
    }
    assert importing == {"start.py"}
