"""What differs between two scripts as programs.

Comments, layout, the change summary and VERSION do not count. This looks at trees of `ast` and knows nothing of how
scripts are edited, so that a mistake there does not pass here.
"""

from __future__ import annotations

import ast
import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from progtrain.engine.script import config_files
from progtrain.engine.script.action.trees import Change, program
from progtrain.engine.script.sources import files_of
from progtrain.engine.script.structure import is_main_guard

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
    """The differences, statement by statement, in the order of the new script; those of other files behind them.

    Raises `InputError` with the line where one of them is no Python.
    """
    return (*_compare_code(old, new), *_compare_files(files_of(old), files_of(new)))


def _compare_files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            yield Change(name, before, after, 1)
        elif before != after and config_files.is_config(name):
            for path, gone, come, line in config_files.differences(name, before, after):
                yield Change(f"{name}:{path}", gone, come, line)
        elif before != after:
            yield from (replace(change, path=f"{name}:{change.path}") for change in _compare_code(before, after))


def _compare_code(old: str, new: str) -> tuple[Change, ...]:
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


__all__ = ["Change", "compare"]
