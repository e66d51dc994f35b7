"""Making all collected changes of a script in one pass over its tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, cast

import libcst as cst

from progtrain.engine.script.action.nodes import Statement

Change = Callable[[Any], cst.CSTNode]
Inserted = Mapping[cst.CSTNode, list[cst.BaseStatement]]


class Apply(cst.CSTTransformer):
    """`around` are the nodes that hold a change somewhere inside; the rest of the tree is left as it is."""

    def __init__(
        self, changes: Mapping[cst.CSTNode, list[Change]], before: Inserted, after: Inserted, around: Set[cst.CSTNode]
    ) -> None:
        super().__init__()
        self._changes, self._before, self._after, self._around = changes, before, after, around

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node in self._around

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        for change in self._changes.get(original_node, ()):
            updated_node = change(updated_node)
        before = list(self._before.get(original_node, ()))
        after = self._after.get(original_node, ())
        if not before and not after:
            return updated_node
        if before and isinstance(updated_node, Statement):
            updated_node = _spaced(before, updated_node)
        kept = [] if isinstance(updated_node, cst.RemovalSentinel) else [updated_node]
        return cst.FlattenSentinel([*before, *kept, *after])


def _spaced(before: list[cst.BaseStatement], statement: Statement) -> Statement:
    """Blank lines above a statement go above what is put before it; between definitions they stand on both sides."""
    first = cast(Any, before[0])
    blank = [line for line in statement.leading_lines if line.comment is None]
    if isinstance(statement, cst.ClassDef | cst.FunctionDef):
        before[0] = first.with_changes(leading_lines=[*(blank or [cst.EmptyLine(indent=False)]), *first.leading_lines])
        return (
            statement
            if blank
            else statement.with_changes(leading_lines=[cst.EmptyLine(indent=False), *statement.leading_lines])
        )
    if len(blank) < len(statement.leading_lines):
        return statement  # a comment: it stays with its statement, and so does the space above it
    before[0] = first.with_changes(leading_lines=[*blank, *first.leading_lines])
    return statement.with_changes(leading_lines=[])


class Expand(cst.CSTTransformer):
    def __init__(self, functions: frozenset[str]) -> None:
        super().__init__()
        self._functions = functions
        self._around: list[str] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._around.append(node.name.value)

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        self._around.pop()
        return updated_node

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        body = updated_node.body
        path = ".".join([*self._around[-1:], updated_node.name.value])
        if not isinstance(body, cst.SimpleStatementSuite) or path not in self._functions:
            return updated_node
        lines = [
            cst.SimpleStatementLine([small.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)]) for small in body.body
        ]
        lines[-1] = lines[-1].with_changes(trailing_whitespace=body.trailing_whitespace)
        return updated_node.with_changes(body=cst.IndentedBlock(lines))
