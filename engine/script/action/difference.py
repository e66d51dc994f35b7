"""What differs between two scripts as programs, and whether that is exactly what an action declares.

Comments, layout, the change summary and VERSION do not count. This looks at trees of `ast` and knows nothing of how
scripts are edited, so that a mistake there does not pass here.
"""

from __future__ import annotations

import ast
import copy
import difflib
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.allowed_changes import allowed
from progtrain.engine.script.action.operations import (
    EditOperation,
    Lineage,
    Operation,
    RecipeOperation,
    RevertOperation,
    SetOperation,
    apply_operation,
    describe_operation,
    show,
    undo,
)
from progtrain.engine.script.action.trees import Change, program, same_program
from progtrain.engine.script.settings import choose_setting, find_settings, literal
from progtrain.engine.script.structure import describe, is_main_guard

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@dataclass(frozen=True)
class _Line:
    """A statement without the statements in it; `depth` is how far it is indented in its scope."""

    depth: int
    dump: str
    text: str
    number: int
    name: str

    @property
    def key(self) -> tuple[int, str]:
        return self.depth, self.dump


def compare(old: str, new: str) -> tuple[Change, ...]:
    """The differences, statement by statement, in the order of the new script.

    Raises `InputError` with the line where one of them is no Python.
    """
    before, after = _scopes(program(old)), _scopes(program(new))
    changes: list[Change] = []
    for path in [*after, *(path for path in before if path not in after)]:
        # a scope that only one of them has stands as one line in the scope around it
        if path in before and path in after:
            changes += _compare_scope(path, before[path], after[path])
    return tuple(sorted(changes, key=lambda change: change.line))


def _compare_scope(path: str, before: Sequence[_Line], after: Sequence[_Line]) -> Iterator[Change]:
    matcher = difflib.SequenceMatcher(None, [line.key for line in before], [line.key for line in after], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            continue
        for gone, come in _aligned(before[a:b], after[c:d]):
            yield _change(path, gone, come)


def _aligned(gone: Sequence[_Line], come: Sequence[_Line]) -> Iterator[tuple[Sequence[_Line], Sequence[_Line]]]:
    """Pairs each old line with the first new one that resembles it; the others went or came."""
    if len(gone) == len(come) == 1:
        yield gone, come
        return
    waiting = list(come)
    for old in gone:
        new = next((line for line in waiting if _alike(old, line)), None)
        if new is None:
            yield [old], []
            continue
        while waiting[0] is not new:
            yield [], [waiting.pop(0)]
        yield [old], [waiting.pop(0)]
    yield from (([], [line]) for line in waiting)


def _alike(one: _Line, other: _Line) -> bool:
    if one.name or other.name:
        return one.name == other.name
    if one.text.partition("(")[0] == other.text.partition("(")[0]:
        return True
    return difflib.SequenceMatcher(None, one.text, other.text, autojunk=False).ratio() > 0.5


def _change(path: str, gone: Sequence[_Line], come: Sequence[_Line]) -> Change:
    named = (come or gone)[0].name
    return Change(
        path=".".join(part for part in (path, named) if part) or "<module>",
        before="\n".join(line.text for line in gone) or None,
        after="\n".join(line.text for line in come) or None,
        line=(come or gone)[0].number,
        old_line=gone[0].number if gone else None,
    )


def _scopes(tree: ast.Module) -> dict[str, list[_Line]]:
    """Path of each class, function and main block -> its lines; "" is the module."""
    found: dict[str, list[_Line]] = {}

    def enter(path: str, body: Sequence[ast.AST], first: list[_Line]) -> None:
        while path in found:  # two of the same name: the second hides the first, but both are compared
            path += "'"
        found[path] = lines = first
        visit(path, body, lines, 0)

    def visit(path: str, body: Sequence[ast.AST], lines: list[_Line], depth: int) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inner = f"{path}.{node.name}".lstrip(".")
                lines.append(_Line(depth, f"def {node.name}", ast.unparse(node), node.lineno, node.name))
                enter(inner, node.body, [_header(node, 0)])
            elif isinstance(node, ast.stmt) and not path and is_main_guard(node):
                assert isinstance(node, ast.If)
                lines.append(_Line(depth, "main", ast.unparse(node), node.lineno, "__main__"))
                enter("__main__", [*node.body, *node.orelse], [])
            else:
                lines.append(_header(node, depth, named=not path or (path[:1].isupper() and "." not in path)))
                for block in _BLOCKS:
                    if inside := getattr(node, block, None):
                        lines.append(_Line(depth + 1, block, f"{block}:", getattr(node, "lineno", 0), ""))
                        visit(path, inside, lines, depth + 1)

    enter("", tree.body, [])
    return found


def _header(node: ast.AST, depth: int, named: bool = False) -> _Line:
    """The statement with the blocks in it emptied."""
    bare = copy.copy(node)
    for block in _BLOCKS:
        if isinstance(getattr(bare, block, None), list):
            setattr(bare, block, [])
    text = ast.unparse(bare) if isinstance(bare, ast.AST) else ""
    number = getattr(node, "lineno", 0)
    return _Line(depth, ast.dump(bare), text, number, _name(node) if named else "")


def _name(node: ast.AST) -> str:
    """What a statement at module or class level is about: the name that it assigns, or "import"."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "import"
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    target = targets[0]
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


# verification


def verify(old: str, new: str, operation: Operation, *, lineage: Sequence[Lineage] = ()) -> None:
    """Raises `InputError` unless the difference is exactly what the operation declares.

    For `revert`, `lineage` is needed, with the version of `old` as its last entry.
    """
    if isinstance(operation, SetOperation):
        _verify_set(old, new, operation)
    elif isinstance(operation, RecipeOperation):
        _verify_recipe(old, new, operation)
    elif isinstance(operation, EditOperation):
        _verify_edit(old, new, operation)
    else:
        _verify_revert(new, operation, lineage)


def _refuse(operation: Operation, reason: str, line: int | None = None) -> InputError:
    return InputError(
        f"the script does not differ by exactly this action ({describe_operation(operation)}): {reason}",
        place=line,
        fix="make no other change in the script that an action makes; edit the action instead",
    )


def _verify_set(old: str, new: str, operation: SetOperation) -> None:
    setting = choose_setting(find_settings(old), operation.setting)
    if setting is None:
        raise _refuse(operation, f"there was no setting {operation.setting}")
    pairs = list(_differences(program(old), program(new)))
    if not pairs:
        raise _refuse(operation, "nothing differs")
    for before, after in pairs:
        span = tuple(getattr(before, part, 0) for part in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
        is_literal, value = literal(after)
        if span != setting.span or not is_literal:
            line = getattr(after, "lineno", None)
            raise _refuse(operation, f"something else changed too: {_shown(after)}", line)
        if operation.expects and not values.same(setting.value, operation.from_):
            raise _refuse(operation, f"{setting.name} was {show(setting.value)}", setting.line)
        if not values.same(value, operation.to):
            raise _refuse(operation, f"{setting.name} is {show(value)}", setting.line)


def _differences(one: ast.AST, other: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """The smallest nodes that differ; literals count as a whole."""
    if ast.dump(one) == ast.dump(other):
        return
    if (literal(one)[0] and literal(other)[0]) or type(one) is not type(other):
        yield one, other
        return
    inner: list[tuple[ast.AST, ast.AST]] = []
    for name in one._fields:
        mine, theirs = getattr(one, name, None), getattr(other, name, None)
        pairs: list[tuple[object, object]] = [(mine, theirs)]
        if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
            pairs = list(zip(mine, theirs, strict=True))
        for left, right in pairs:
            if isinstance(left, ast.AST) and isinstance(right, ast.AST):
                inner.append((left, right))
            elif left != right:
                yield one, other
                return
    for left, right in inner:
        yield from _differences(left, right)


def _shown(node: ast.AST) -> str:
    text = "the number of statements" if isinstance(node, ast.Module) else ast.unparse(node)
    first = text.splitlines()[0] if text else text
    return first if len(first) <= 60 else first[:57] + "..."


def _verify_recipe(old: str, new: str, operation: RecipeOperation) -> None:
    from progtrain.engine.script.action.recipes import get_recipe

    recipe = get_recipe(operation.recipe)
    changes = compare(old, new)
    if not changes:
        raise _refuse(operation, "nothing differs")
    facts, settings = describe(old), find_settings(old)
    for change in changes:
        if not allowed(change, recipe.footprint, facts, settings, old):
            shown = (change.after or change.before or "").splitlines()[0]
            raise _refuse(operation, f"{change.path} changed where it may not: {shown}", change.line)
    if not same_program(apply_operation(old, operation), new):
        raise _refuse(operation, "applying it again gives another script")


def _verify_edit(old: str, new: str, operation: EditOperation) -> None:
    before, after = program(old), program(new)
    if ast.dump(before) == ast.dump(after):
        raise _refuse(operation, "nothing differs")
    _emptied(before, operation)
    written = ast.parse(f"def body():\n{textwrap.indent(operation.body, '    ')}").body[0]
    found = _emptied(after, operation)
    if [ast.dump(node) for node in found] != [ast.dump(node) for node in getattr(written, "body", [])]:
        raise _refuse(operation, "the body is another than declared")
    if ast.dump(before) != ast.dump(after):
        change = next(iter(compare(ast.unparse(before), ast.unparse(after))), None)
        place = change.path if change else "something"
        raise _refuse(operation, f"{place} changed too", change.line if change else None)


def _emptied(tree: ast.Module, operation: EditOperation) -> list[ast.stmt]:
    """Takes the body out of the one function that the operation names, and returns it."""
    scopes: list[ast.stmt] = tree.body
    *around, name = operation.function.split(".")
    for owner in around:
        scopes = [s for c in scopes if isinstance(c, ast.ClassDef) and c.name == owner for s in c.body]
    found = [s for s in scopes if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef) and s.name == name]
    if len(found) != 1:
        raise _refuse(operation, f"there is not one {operation.function}")
    body, found[0].body = found[0].body, [ast.Pass()]
    return body


def _verify_revert(new: str, operation: RevertOperation, lineage: Sequence[Lineage]) -> None:
    if not same_program(undo(lineage, operation.version), new):
        raise _refuse(operation, f"undoing {operation.version} gives another script")


__all__ = ["Change", "compare", "verify"]
