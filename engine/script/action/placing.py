"""Where new constants, imports and statements come to stand in a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import libcst as cst

from progtrain.engine.script.action.nodes import import_root, is_constant, is_docstring, is_import, is_number

#: code to stand before or after a node of the script, in the order in which it is to stand there
Codes = dict[cst.CSTNode, list[str]]


def parsed(module: cst.Module, codes: Codes) -> dict[cst.CSTNode, list[cst.BaseStatement]]:
    return {node: [s for code in listed for s in _statements(module, code)] for node, listed in codes.items()}


def _statements(module: cst.Module, code: str) -> list[cst.BaseStatement]:
    """Statements with the blank and comment lines above them."""
    found = cst.parse_module(code, module.config_for_parsing)
    body = list(found.body)
    if body and found.header:
        first = cast(Any, body[0])
        body[0] = first.with_changes(leading_lines=[*found.header, *first.leading_lines])
    return cast(list[cst.BaseStatement], body)


def place_constants(module: cst.Module, constants: Sequence[str], before: Codes, after: Codes) -> None:
    """Beside the script's own constants, else below its imports."""
    if not constants:
        return
    anchor = _constant_anchor(module)
    if anchor is not None:
        after.setdefault(anchor, [])[:0] = constants
        return
    imports = [s for s in module.body if is_import(s)]
    block = ["\n" + constants[0], *constants[1:]]
    if imports:
        after.setdefault(imports[-1], [])[:0] = block
    else:
        first = module.body[0]
        (after if is_docstring(first) else before).setdefault(first, []).extend(block)


def _constant_anchor(module: cst.Module) -> cst.BaseStatement | None:
    """The last number among the constants above the first class or function, else the last constant there."""
    anchor = number = None
    for statement in module.body:
        if isinstance(statement, cst.ClassDef | cst.FunctionDef):
            break
        if isinstance(statement, cst.SimpleStatementLine):
            for small in statement.body:
                anchor = statement if is_constant(small) else anchor
                number = statement if is_constant(small) and is_number(small) else number
    return number or anchor


def place_imports(module: cst.Module, codes: Mapping[str, list[str]], before: Codes, after: Codes) -> None:
    """`codes` by top-level package: each beside what is imported from the same package, else below all imports."""
    imports = [s for s in module.body if is_import(s)]
    for root, lines in codes.items():
        near = [s for s in imports if import_root(s) == root] or imports
        if near:
            after.setdefault(near[-1], [])[:0] = lines
        else:
            first = module.body[0]
            (after if is_docstring(first) else before).setdefault(first, [])[:0] = lines
