"""Editing a script: its syntax tree says where, and a few characters of the text change.

So comments, layout and whatever else nobody asked to change stay to the letter. Recipes, new bodies of functions,
single literals, the audit of the baseline and repairs all edit in this one way.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from progtrain.engine.script import brackets
from progtrain.engine.script.nodes import Span, first_line, is_docstring, keyword

Edit = brackets.Edit
Spanned = ast.expr | ast.stmt | ast.keyword | ast.alias | ast.arg

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")


@dataclass(frozen=True)
class Source:
    """A script as text and tree. Raises `SyntaxError` when the tree is asked for and the text is no Python."""

    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    # places

    @cached_property
    def lines(self) -> list[str]:
        """`ast` takes \\r, \\n and \\r\\n as ends of lines."""
        return _LINE.findall(self.text)

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

    def span(self, node: Spanned) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self.offset(node.lineno, node.col_offset), self.offset(end_line, end_column)

    def segment(self, node: Spanned) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def line_start(self, line: int) -> int:
        return self._starts[min(line, len(self._starts)) - 1]

    def after_line(self, line: int) -> int:
        return self._starts[min(line, len(self._starts) - 1)]

    def line_end(self, line: int) -> int:
        """Behind its last character, before its end."""
        return self._starts[line - 1] + len(self.lines[line - 1].rstrip("\r\n"))

    def indent(self, line: int) -> str:
        text = self.lines[line - 1]
        return text[: len(text) - len(text.lstrip())]

    @cached_property
    def unit(self) -> str:
        """What the script indents a block by."""
        for node in self.tree.body:
            block = getattr(node, "body", None)
            if isinstance(block, list) and block and block[0].lineno > node.lineno:
                return self.indent(first_line(block[0])) or "    "
        return "    "

    # edits

    def replace(self, node: Spanned, text: str) -> Edit:
        return *self.span(node), text

    def replace_span(self, span: Span, text: str) -> Edit:
        return self.offset(*span[:2]), self.offset(*span[2:]), text

    def insert_before(self, statement: ast.stmt, code: str) -> Edit:
        """Whole lines, indented as the statement is. Decorators and comments stay with what they belong to, and blank
        lines part the new lines from what is above; between definitions they stand on both sides."""
        line = first_line(statement)
        top, blank = self._top(line)
        code = self._indented(code, self.indent(line))
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            at = self.line_start(top)
            return at, at, "\n" * (blank or 1) + code + ("" if blank else "\n")
        commented = any(text.strip() for text in self.lines[top - 1 : line - 1])
        at = self.line_start(top if commented else line)
        return at, at, code

    def _top(self, line: int) -> tuple[int, int]:
        """The first of the blank lines and comments that stand above a line and belong to it; how many are blank."""
        top, indent = line, self.indent(line)
        while top > 1:
            above = self.lines[top - 2]
            if above.strip() and not (above.startswith(f"{indent}#")):
                break
            top -= 1
        if top == 1:  # what a file begins with belongs to the file
            return line, 0
        return top, sum(not text.strip() for text in self.lines[top - 1 : line - 1])

    def insert_after(self, statement: ast.stmt, code: str) -> Edit:
        line = statement.end_lineno or statement.lineno
        at = self.after_line(line)
        begin = "" if self.text[:at].endswith(("\n", "\r")) or not at else "\n"
        return at, at, begin + self._indented(code, self.indent(first_line(statement)))

    def _indented(self, code: str, indent: str) -> str:
        """`code` is written with four spaces a block, and may end its last line or not."""
        lines = code.removesuffix("\n").split("\n")
        return "".join(f"{indent}{self._in_units(line)}\n" if line else "\n" for line in lines)

    def _in_units(self, line: str) -> str:
        bare = line.lstrip(" ")
        blocks, rest = divmod(len(line) - len(bare), 4)
        return self.unit * blocks + " " * rest + bare

    def set_keyword(self, call: ast.Call, name: str, value: str) -> Edit:
        """`f(a, name=old)` or `f(a)` -> `f(a, name=value)`, on a line of its own where the others are."""
        given = keyword(call, name)
        return self.replace(given, value) if given is not None else self.add_item(call, f"{name}={value}")

    def add_item(self, node: brackets.Bracketed, text: str) -> Edit:
        """As the last argument or element."""
        return brackets.added(self, node, None, [text])

    # functions

    def set_body(self, function: ast.FunctionDef | ast.AsyncFunctionDef, body: str) -> Edit:
        """Other statements for a function, given without indentation. A comment beside its header stays."""
        first, last = function.body[0], function.body[-1]
        start = self.colon(function) + 1
        on_one_line = self.stands_beside(first)
        indent = self.indent(function.lineno) + self.unit if on_one_line else self.indent(first_line(first))
        if not on_one_line:
            start = self.line_end(self.line_of(start))
        return start, self.line_end(self._last_line(last, indent)), "\n" + _moved(body, indent).rstrip("\n")

    def _last_line(self, statement: ast.stmt, indent: str) -> int:
        """Of the comments that follow at the same depth, else of the statement."""
        last = line = statement.end_lineno or statement.lineno
        while line < len(self.lines) and (not (text := self.lines[line]).strip() or text.startswith(f"{indent}#")):
            line += 1
            last = line if text.strip() else last
        return last

    def line_of(self, offset: int) -> int:
        return next(n for n, start in enumerate(self._starts[1:], start=1) if offset < start or n == len(self.lines))

    def colon(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        """Where the header of a function ends."""
        given = function.args
        parts: list[Spanned | None] = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        parts += [*given.defaults, *given.kw_defaults, function.returns]
        start = max([self.span(function)[0], *(self.span(part)[1] for part in parts if part is not None)])
        first = function.body[0]
        line = first_line(first)
        end = self.span(first)[0] if line == first.lineno else self.line_start(line)
        return start + brackets.without_comments(self.text[start:end]).rindex(":")

    def stands_beside(self, statement: ast.stmt) -> bool:
        """Whether something else stands before it on its line: the header of its block, another statement."""
        start, end = self.line_start(statement.lineno), self.span(statement)[0]
        return first_line(statement) == statement.lineno and bool(self.text[start:end].strip())

    # imports

    def import_name(self, module: str, name: str) -> tuple[str, list[Edit]]:
        """How the script can spell `module.name`, and the import that this needs, if any."""
        for node in self.tree.body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name == module and (alias.asname or "." not in module):
                        return f"{alias.asname or module}.{name}", []
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    if (node.module, alias.name) == (module, name):
                        return alias.asname or name, []
                    if f"{node.module}.{alias.name}" == module:
                        return f"{alias.asname or alias.name}.{name}", []
        return name, [self.add_import(f"from {module} import {name}")]

    def add_import(self, line: str) -> Edit:
        """Among its like in alphabetical order, as most scripts have it; else where imports begin or end."""
        new = ast.parse(line).body[0]
        imports = [node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        ordinary = [n for n in imports if not (isinstance(n, ast.ImportFrom) and n.module == "__future__")]
        peers = [node for node in ordinary if _is_standard(node) == _is_standard(new)]
        later = next((node for node in peers if _sort_key(node) > _sort_key(new)), None)
        if later is not None:
            return self.insert_before(later, line)
        if peers or imports:
            return self.insert_after((peers or ordinary or imports)[-1], line)
        first = self.tree.body[0] if self.tree.body else None
        if first is None:
            return 0, 0, f"{line}\n"
        return self.insert_after(first, f"\n{line}") if is_docstring(first) else self.insert_before(first, line)

    def apply(self, edits: Iterable[Edit]) -> str:
        """Edits of the same place are put in once when they say the same. Overlapping ones are a `ValueError`."""
        return self.put_in(dict.fromkeys(edits))

    def put_in(self, edits: Iterable[Edit]) -> str:
        """Of several insertions in the same place, the first comes first."""
        parts, at = [], 0
        newline = next((line[len(line.rstrip("\r\n")) :] for line in self.lines), "") or "\n"
        for start, end, code in sorted(edits, key=itemgetter(0, 1)):
            if start < at:
                raise ValueError(f"two edits overlap at character {start}")
            parts += [self.text[at:start], re.sub(r"\r\n?|\n", newline, code)]
            at = end
        return "".join([*parts, self.text[at:]])


def _moved(code: str, indent: str) -> str:
    """Indented, but for lines that begin within a string: these get four spaces, wherever the code goes."""
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
    moved = []
    for number, line in enumerate(code.split("\n"), start=1):
        begin = "    " if number in inside else indent
        moved.append(f"{begin}{line}" if line.strip() else line)
    return "\n".join(moved)


def _is_standard(node: ast.stmt) -> bool:
    return _imported_from(node).partition(".")[0] in sys.stdlib_module_names


def _imported_from(node: ast.stmt) -> str:
    return node.names[0].name if isinstance(node, ast.Import) else getattr(node, "module", None) or ""


def _sort_key(node: ast.stmt) -> tuple[bool, str]:
    """`import` lines before `from` lines, each by name."""
    return not isinstance(node, ast.Import), _imported_from(node).lower()
