"""Small questions to a libcst tree that need no more than the nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import cast

import libcst as cst

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement

_WHITESPACE = (cst.BaseParenthesizableWhitespace, cst.TrailingWhitespace, cst.EmptyLine, cst.Newline, cst.Comment)
#: lines longer than this are broken where something is added
WIDTH = 110


def broken(statement: str, depth: int) -> str:
    """`x = f(a, b)` with an argument on each line, where it would be too long at `depth` blocks."""
    if 4 * depth + len(statement) <= WIDTH:
        return statement
    parsed = cst.parse_statement(statement)
    call = next((node for node in walk(parsed) if isinstance(node, cst.Call)), None)
    if call is None or not call.args:
        return statement
    text = cst.Module([]).code_for_node
    args = "".join(f"    {text(arg.with_changes(comma=cst.MaybeSentinel.DEFAULT))},\n" for arg in call.args)
    return statement.replace(text(call), f"{text(call.func)}(\n{args})", 1)


def walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The node and all below it but whitespace, what stands further left mostly first."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(children(current)))


@cache
def _field_names(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if "whitespace" not in field.name)


def children(node: cst.CSTNode) -> list[cst.CSTNode]:
    # libcst's own `children` runs a visitor for each node, which is too slow for looking around a lot
    found: list[cst.CSTNode] = []
    for name in _field_names(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            if not isinstance(value, _WHITESPACE):
                found.append(value)
        elif isinstance(value, list | tuple):
            found += [item for item in value if isinstance(item, cst.CSTNode) and not isinstance(item, _WHITESPACE)]
    return found


def calls(node: cst.CSTNode) -> list[cst.Call]:
    return [child for child in walk(node) if isinstance(child, cst.Call)]


def dotted(node: cst.CSTNode) -> str:
    """`self.net` for such an expression, "" for any other."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr.value}" if base else ""
    return ""


def last_name(node: cst.CSTNode) -> str:
    """`Adam` for `torch.optim.Adam`; also where what stands before is no plain name."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def argument(call: cst.Call, name: str) -> cst.Arg | None:
    return next((arg for arg in call.args if arg.keyword is not None and arg.keyword.value == name), None)


def keyword(name: str, value: cst.BaseExpression) -> cst.Arg:
    no_space = cst.SimpleWhitespace("")
    equal = cst.AssignEqual(whitespace_before=no_space, whitespace_after=no_space)
    return cst.Arg(value=value, keyword=cst.Name(name), equal=equal)


def assignments(scope: cst.CSTNode) -> Iterator[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """(target, value) of each assignment in a function, or of those at module level outside functions."""
    for node in children(scope) if isinstance(scope, cst.Module) else walk(scope):
        nodes = walk(node) if isinstance(scope, cst.Module) and isinstance(node, cst.SimpleStatementLine) else [node]
        if isinstance(scope, cst.Module) and isinstance(node, cst.If):
            nodes = walk(node)
        for item in nodes:
            if isinstance(item, cst.Assign):
                for target in item.targets:
                    yield target.target, item.value
            elif isinstance(item, cst.AnnAssign) and item.value is not None:
                yield item.target, item.value


def dict_keys(node: cst.BaseExpression) -> set[str] | None:
    """Keys of a dict literal or `dict(...)` call; None when they cannot all be read."""
    if isinstance(node, cst.Dict):
        keys = [string_value(e.key) if isinstance(e, cst.DictElement) else None for e in node.elements]
    elif isinstance(node, cst.Call) and dotted(node.func) == "dict":
        keys = [arg.keyword.value if arg.keyword else None for arg in node.args]
    else:
        return None
    return None if None in keys else {key for key in keys if key is not None}


def string_value(node: cst.CSTNode | None) -> str | None:
    if isinstance(node, cst.SimpleString):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None


def is_docstring(statement: cst.CSTNode) -> bool:
    return (
        isinstance(statement, cst.SimpleStatementLine)
        and isinstance(statement.body[0], cst.Expr)
        and isinstance(statement.body[0].value, cst.SimpleString | cst.ConcatenatedString)
    )


def bindings(module: cst.Module) -> dict[str, str]:
    """Local name -> dotted name, for imports at module level, `try` and `if` blocks included."""
    found: dict[str, str] = {}
    waiting: list[cst.CSTNode] = list(module.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            continue
        if isinstance(node, cst.Import):
            for alias in node.names:
                name = dotted(alias.name)
                if alias.asname is not None:
                    found[dotted(alias.asname.name)] = name
                else:
                    found[name.partition(".")[0]] = name.partition(".")[0]
        elif isinstance(node, cst.ImportFrom) and not isinstance(node.names, cst.ImportStar):
            source = "." * len(node.relative) + (dotted(node.module) if node.module else "")
            for alias in node.names:
                local = dotted(alias.asname.name) if alias.asname is not None else dotted(alias.name)
                found[local] = f"{source}.{dotted(alias.name)}"
        else:
            waiting.extend(children(node))
    return found


def is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(statement.body[0], cst.Import | cst.ImportFrom)


def import_root(statement: cst.CSTNode) -> str:
    node = cast(cst.SimpleStatementLine, statement).body[0]
    if isinstance(node, cst.ImportFrom):
        return dotted(node.module).partition(".")[0] if node.module and not node.relative else ""
    return dotted(node.names[0].name).partition(".")[0] if isinstance(node, cst.Import) else ""


def is_constant(node: cst.CSTNode) -> bool:
    target: cst.CSTNode
    if isinstance(node, cst.Assign) and len(node.targets) == 1:
        target = node.targets[0].target
    elif isinstance(node, cst.AnnAssign):
        target = node.target
    else:
        return False
    return isinstance(target, cst.Name) and target.value.isupper()


def is_number(node: cst.CSTNode) -> bool:
    return isinstance(getattr(node, "value", None), cst.Integer | cst.Float)
