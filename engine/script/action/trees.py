"""Syntax trees compared without what an action may not count: comments, layout, and the VERSION constant."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from progtrain.engine.script.nodes import assigned
from progtrain.engine.script.settings import parse_script
from progtrain.engine.script.sources import files_of


def program(source: str) -> ast.Module:
    """The tree with VERSION emptied. Raises `InputError` with the line of a syntax error."""
    tree = parse_script(source)
    for statement in tree.body:
        value = version_value(statement)
        if value is not None:
            value.value = ""
    return tree


def version_value(statement: ast.stmt) -> ast.Constant | None:
    """The literal of `VERSION = "v001"`, when that is what the statement says."""
    match assigned(statement):
        case [(ast.Name(id="VERSION"), ast.Constant(value=str()) as value)]:
            return value
    return None


def same_program(one: str, other: str) -> bool:
    """Whether two scripts do the same, with the same files, VERSION aside."""
    return ast.dump(program(one)) == ast.dump(program(other)) and files_of(one) == files_of(other)


@dataclass(frozen=True)
class Change:
    """One difference: where ("Net.configure_optimizers", "LEARNING_RATE"), and the code there before and after."""

    path: str
    before: str | None
    after: str | None
    #: in the new script; of the old one where something went away
    line: int
    old_line: int | None = None
