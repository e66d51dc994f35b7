"""Small questions to a syntax tree of `ast`, in the order of the file."""

from __future__ import annotations

import ast
from collections.abc import Iterator

#: line, column, end line, end column, as `ast` counts them: columns in UTF-8 bytes
Span = tuple[int, int, int, int]
_NO_CODE = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)


def children(node: ast.AST) -> list[ast.AST]:
    """In the order of the file: `ast` keeps keywords behind all arguments, and the values of a dict behind its keys."""
    if isinstance(node, ast.Call):
        return [node.func, *arguments(node)]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return [part for pair in pairs for part in pair if part is not None]
    return [child for child in ast.iter_child_nodes(node) if not isinstance(child, _NO_CODE)]


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(children(current)))


def last_name(node: ast.AST) -> str:
    """`Adam` for `torch.optim.Adam`; also where what stands before is no plain name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def called(call: ast.Call) -> str:
    """The last part of what is called: `L.Trainer(...)` -> "Trainer"."""
    return last_name(call.func)


def dotted(node: ast.AST) -> str:
    """`"os.path.join"`; empty for anything that is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def calls(tree: ast.AST, *names: str) -> list[ast.Call]:
    """Of functions with these names, or all of them."""
    return [n for n in walk(tree) if isinstance(n, ast.Call) and (not names or called(n) in names)]


def arguments(call: ast.Call) -> list[ast.expr | ast.keyword]:
    """All of them, by position and by name."""
    return sorted([*call.args, *call.keywords], key=lambda item: (item.lineno, item.col_offset))


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def argument(call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
    """By keyword, else by position."""
    given = keyword(call, name)
    if given is None and position is not None and 0 <= position < len(call.args):
        plain = call.args[: position + 1]
        return None if any(isinstance(a, ast.Starred) for a in plain) else call.args[position]
    return given


def text_of(node: ast.AST | None) -> str | None:
    """The text of a plain string."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def span_of(node: ast.expr) -> Span:
    return node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0


def identifiers(node: ast.AST) -> Iterator[str]:
    """Every name written in it, as often as it is: of variables, attributes, arguments, definitions, imports."""
    for inside in ast.walk(node):
        if isinstance(inside, ast.Constant):
            continue
        for _, value in ast.iter_fields(inside):
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str):
                    yield from item.split(".")


def assignments(scope: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """(target, value) of each assignment in a function, or of those at module level outside functions."""
    if isinstance(scope, ast.Module):
        inside = (walk(node) if isinstance(node, ast.If) else [node] for node in scope.body)
        nodes = [node for group in inside for node in group]
    else:
        nodes = list(walk(scope))
    for node in nodes:
        yield from assigned(node)


def assigned(statement: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """(target, value) of an assignment, with or without a type; empty for anything else."""
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return [(statement.target, statement.value)]
    return [(target, statement.value) for target in statement.targets] if isinstance(statement, ast.Assign) else []


def blocks(node: ast.AST) -> list[list[ast.stmt]]:
    """The lists of statements that stand directly in it."""
    found = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
    return [block for block in found if isinstance(block, list) and block]


def is_docstring(statement: ast.AST) -> bool:
    return isinstance(statement, ast.Expr) and text_of(statement.value) is not None


def first_line(statement: ast.stmt) -> int:
    """Its decorators included."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def innermost(tree: ast.Module, line: int) -> ast.stmt | None:
    """The smallest statement that covers a line."""
    covering = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= line <= (n.end_lineno or n.lineno)]
    return max(covering, key=lambda n: (n.lineno, -(n.end_lineno or 0)), default=None)
