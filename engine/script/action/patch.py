"""Small edits in the text of a script, found through its syntax tree, so that everything else stays to the letter."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Edit:
    """Replaces the characters from `start` to `end`; both the same inserts."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Source:
    """A script as text and tree. Raises `SyntaxError` when the tree is asked for and the text is no Python."""

    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> list[str]:
        return re.findall(r"[^\n]*\n|[^\n]+$", self.text)

    @cached_property
    def _starts(self) -> list[int]:
        starts, at = [], 0
        for line in self.lines:
            starts.append(at)
            at += len(line)
        return [*starts, at]

    def offset(self, line: int, column: int) -> int:
        """Character offset of a place as `ast` counts it: lines from 1, columns in UTF-8 bytes."""
        if line > len(self.lines):
            return len(self.text)
        return self._starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode(errors="ignore"))

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self.offset(node.lineno, node.col_offset), self.offset(end_line, end_column)

    def segment(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def replace(self, node: ast.expr, text: str) -> Edit:
        return Edit(*self.span(node), text)

    def line_start(self, line: int) -> int:
        return self._starts[min(line, len(self._starts)) - 1]

    def after_line(self, line: int) -> int:
        return self._starts[min(line, len(self._starts) - 1)]

    def indent(self, line: int) -> str:
        text = self.lines[line - 1]
        return text[: len(text) - len(text.lstrip())]

    # edits

    def insert_before(self, statement: ast.stmt, code: str) -> Edit:
        """Whole lines, indented as the statement is; decorators stay with what they decorate."""
        decorators = getattr(statement, "decorator_list", [])
        line = min([statement.lineno, *(d.lineno for d in decorators)])
        at, indent = self.line_start(line), self.indent(line)
        return Edit(at, at, "".join(f"{indent}{text}\n" if text else "\n" for text in code.split("\n")))

    def insert_after(self, statement: ast.stmt, code: str) -> Edit:
        line = statement.end_lineno or statement.lineno
        at, indent = self.after_line(line), self.indent(statement.lineno)
        begin = "" if self.text[:at].endswith("\n") or not at else "\n"
        return Edit(at, at, begin + "".join(f"{indent}{text}\n" if text else "\n" for text in code.split("\n")))

    def set_keyword(self, call: ast.Call, name: str, value: str) -> Edit:
        """`f(a, name=old)` or `f(a)` -> `f(a, name=value)`, on a line of its own where the others are."""
        given = keyword(call, name)
        return self.replace(given, value) if given is not None else self.add_argument(call, f"{name}={value}")

    def add_argument(self, call: ast.Call, text: str) -> Edit:
        return self._append(call, [*call.args, *(k.value for k in call.keywords)], text)

    def add_item(self, items: ast.List | ast.Tuple, text: str) -> Edit:
        return self._append(items, items.elts, text)

    def _append(self, node: ast.expr, items: list[ast.expr], text: str) -> Edit:
        close = self.span(node)[1] - 1
        if not items:
            return Edit(close, close, text)
        last = max(items, key=lambda item: (item.end_lineno or 0, item.end_col_offset or 0))
        at = self.span(last)[1]
        behind = self.text[at:close]
        # an item in parentheses of its own, or a comment behind it: leave these where they are
        comma = re.match(r"[\s)]*,", re.sub(r"#[^\n]*", lambda c: " " * len(c[0]), behind))
        own_line = self.lines[last.lineno - 1].lstrip().startswith(self._line_of(last)) and last.lineno > node.lineno
        if own_line and comma:
            at = self.after_line(last.end_lineno or last.lineno)
            return Edit(at, at, f"{self.indent(self._first_line(last))}{text},\n")
        if comma:
            at += comma.end()
            return Edit(at, at, f" {text}" + ("," if own_line else ""))
        at += len(re.match(r"\)*", behind)[0])  # type: ignore[index]
        return Edit(at, at, f",\n{self.indent(self._first_line(last))}{text}" if own_line else f", {text}")

    def _first_line(self, node: ast.expr) -> int:
        return node.lineno

    def _line_of(self, node: ast.expr) -> str:
        """What a line that begins with this item begins with, a keyword's name included."""
        line = self.lines[node.lineno - 1]
        head = line.encode()[: node.col_offset].decode(errors="ignore").lstrip()
        return head if re.fullmatch(r"(?:\w+\s*=\s*)?\**\(*", head) else "\0"

    # imports

    def import_name(self, module: str, name: str) -> tuple[str, list[Edit]]:
        """How the script can spell `module.name`, and the import that this needs, if any."""
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == module and not node.level:
                for alias in node.names:
                    if alias.name == name:
                        return alias.asname or name, []
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name == module and (alias.asname or "." not in module):
                        return f"{alias.asname or module}.{name}", []
            if isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    if f"{node.module}.{alias.name}" == module:
                        return f"{alias.asname or alias.name}.{name}", []
        return name, [self.add_import(f"from {module} import {name}")]

    def add_import(self, line: str) -> Edit:
        """Among its like in alphabetical order, as most scripts have it; else where imports begin or end."""
        new = _import(ast.parse(line).body[0])
        assert new is not None
        imports = [node for statement in self.tree.body if (node := _import(statement))]
        ordinary = [n for n in imports if not (isinstance(n, ast.ImportFrom) and n.module == "__future__")]
        peers = [node for node in ordinary if _is_standard(node) == _is_standard(new)]
        later = next((node for node in peers if _sort_key(node) > _sort_key(new)), None)
        if later is not None:
            return self.insert_before(later, line)
        if peers or imports:
            return self.insert_after((peers or ordinary or imports)[-1], line)
        first = self.tree.body[0] if self.tree.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            return self.insert_after(first, f"\n{line}")
        return self.insert_before(first, line) if first else Edit(0, 0, f"{line}\n")

    def apply(self, edits: Iterable[Edit]) -> str:
        """Edits of the same place are put in once when they say the same. Overlapping ones are a `ValueError`."""
        text, last = self.text, len(self.text) + 1
        unique = list(dict.fromkeys(edits))
        ordered = sorted(enumerate(unique), key=lambda pair: (pair[1].start, pair[1].end, pair[0]), reverse=True)
        for _, edit in ordered:
            if edit.end > last:
                raise ValueError(f"two edits overlap at character {edit.start}")
            text = text[: edit.start] + edit.text + text[edit.end :]
            last = edit.start
        return text


def _import(statement: ast.stmt) -> ast.Import | ast.ImportFrom | None:
    return statement if isinstance(statement, ast.Import | ast.ImportFrom) else None


def _is_standard(node: ast.Import | ast.ImportFrom) -> bool:
    module = node.names[0].name if isinstance(node, ast.Import) else node.module or ""
    return module.partition(".")[0] in sys.stdlib_module_names


def _sort_key(node: ast.Import | ast.ImportFrom) -> tuple[bool, str]:
    """`import` lines before `from` lines, each by name."""
    plain = isinstance(node, ast.Import)
    return not plain, (node.names[0].name if isinstance(node, ast.Import) else node.module or "").lower()


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def argument(call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
    """By keyword, else by position."""
    given = keyword(call, name)
    if given is None and position is not None and 0 <= position < len(call.args):
        plain = call.args[: position + 1]
        return None if any(isinstance(a, ast.Starred) for a in plain) else call.args[position]
    return given


def called(call: ast.Call) -> str:
    """The last part of what is called: `L.Trainer(...)` -> "Trainer"."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def dotted(node: ast.expr) -> str:
    """`"os.path.join"`; empty for anything that is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    """In the order of the file."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and (not names or called(n) in names)]
    yield from sorted(found, key=lambda call: (call.lineno, call.col_offset))


def main_guard(tree: ast.Module) -> ast.If | None:
    """`if __name__ == "__main__":`"""
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
            names = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
            values = {n.value for n in ast.walk(node.test) if isinstance(n, ast.Constant)}
            if "__name__" in names and "__main__" in values:
                return node
    return None


def innermost(tree: ast.Module, line: int) -> ast.stmt | None:
    """The smallest statement that covers a line."""
    covering = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= line <= (n.end_lineno or n.lineno)]
    return max(covering, key=lambda n: (n.lineno, -(n.end_lineno or 0)), default=None)
