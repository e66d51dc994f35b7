"""Items between brackets, as they are written: arguments, elements, entries, imported names.

A new item goes where the others go: behind them on their line, or on a line of its own, with a comma behind it where
they have one. Comments stay beside the items that they stand beside.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from progtrain.engine.script.nodes import arguments

if TYPE_CHECKING:
    from progtrain.engine.script.editor import Source

Bracketed = ast.Call | ast.List | ast.Tuple | ast.Dict | ast.ImportFrom
#: replaces the characters from a place to another by a text; both places the same inserts it
Edit = tuple[int, int, str]


def without_comments(text: str) -> str:
    """As long as before. Not for text with strings in it."""
    return re.sub(r"#[^\n]*", lambda comment: " " * len(comment[0]), text)


def items(source: Source, node: Bracketed) -> list[tuple[int, int]]:
    """Where each item stands, without parentheses of its own."""
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return [(source.span(key or value)[0] - (0 if key else 2), source.span(value)[1]) for key, value in pairs]
    if isinstance(node, ast.ImportFrom):
        return [source.span(alias) for alias in node.names]
    parts = arguments(node) if isinstance(node, ast.Call) else node.elts
    return [source.span(part) for part in parts]


def _bounds(source: Source, node: Bracketed, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Behind the opening bracket and before the closing one."""
    start, end = source.span(node)
    if isinstance(node, ast.ImportFrom):
        closed = source.text[end - 1] == ")"
        opened = source.text.rfind("(", start, spans[0][0]) + 1
        return opened or spans[0][0], end - closed
    if isinstance(node, ast.Call):
        func = source.span(node.func)[1]
        return func + without_comments(source.text[func:end]).index("(") + 1, end - 1
    bare = isinstance(node, ast.Tuple) and source.text[start] != "("
    return start + (not bare), end - (not bare)


def added(source: Source, node: Bracketed, after: int | None, codes: Sequence[str]) -> Edit:
    """New items behind the item of that number (-1: before all of them; None: behind the last)."""
    spans = items(source, node)
    opening, closing = _bounds(source, node, spans)
    if not spans:
        return closing, closing, ", ".join(codes)
    last = len(spans) - 1
    after = last if after is None else after
    before = _indents(source, spans, opening)
    # behind the last one, what all others do counts; elsewhere, what the next one does
    near = (before[1:] or before) if after == last else [before[after + 1]]
    indent = near[-1] if None not in near else None
    if after < 0:
        between = f",\n{indent}" if indent is not None else ", "
        return spans[0][0], spans[0][0], "".join(f"{code}{between}" for code in codes)
    behind = spans[after + 1][0] if after < last else closing
    at, comma = _end(source, spans[after][1], behind)
    if indent is None:
        text = ", ".join(codes)
        return (at, at, f" {text},") if comma else (at, at, f", {text}")
    line = _rest_of_line(source, at, behind)
    text = ",".join(f"\n{indent}{code}" for code in codes)
    if comma:
        return line, line, f"{text},"
    return at, line, f",{source.text[at:line]}{text}"


def _indents(source: Source, spans: Sequence[tuple[int, int]], opening: int) -> list[str | None]:
    """What the line of each item begins with; None for one that begins no line."""
    starts = [opening, *(end for _, end in spans[:-1])]
    return [_indent_in(source.text[start:begin]) for start, (begin, _) in zip(starts, spans, strict=True)]


def _indent_in(gap: str) -> str | None:
    lines = re.split(r"\r\n|\r|\n", gap)
    return re.match(r"[ \t]*", lines[-1])[0] if len(lines) > 1 else None  # type: ignore[index]


def _end(source: Source, end: int, behind: int) -> tuple[int, bool]:
    """Where an item ends, its own parentheses and the comma behind it included, and whether there is a comma."""
    gap = without_comments(source.text[end:behind])
    if (comma := gap.find(",")) >= 0:
        return end + comma + 1, True
    return end + gap.rfind(")") + 1, False


def _rest_of_line(source: Source, at: int, behind: int) -> int:
    """Behind the comment that follows on the line."""
    return at + len(re.match(r"[ \t]*(?:#[^\r\n]*)?", source.text[at:behind])[0])  # type: ignore[index]


def spread(source: Source, node: Bracketed, codes: Mapping[int, Sequence[str]], indent: str) -> list[Edit] | None:
    """All items and the new ones on lines of their own, the bracket closing at `indent`. None where some have lines
    of their own already: see `on_next_line`."""
    spans = items(source, node)
    opening, closing = _bounds(source, node, spans)
    inner = f"\n{indent}{source.unit}"
    edits: list[Edit] = []
    begin = opening
    for number, (_, end) in enumerate(spans):
        behind = spans[number + 1][0] if number + 1 < len(spans) else closing
        gap = re.match(r"\s*", source.text[begin:])
        assert gap is not None
        if "\n" in gap[0]:
            return None
        edits.append((begin, begin + len(gap[0]), inner))
        at, comma = _end(source, end, behind)
        text = "" if comma else ","
        text += "".join(f"{inner}{code}," for code in codes.get(number, ()))
        edits.append((at, at, text))
        begin = at
    edits[-1] = (edits[-1][0], closing, f"{edits[-1][2]}\n{indent}")
    return None if "\n" in source.text[begin:closing] else edits


def on_next_line(source: Source, node: Bracketed, codes: Sequence[str]) -> Edit | None:
    """New items behind the last one, on a line of their own, where some other item begins a line."""
    spans = items(source, node)
    opening, closing = _bounds(source, node, spans)
    indent = next((found for found in _indents(source, spans, opening) if found is not None), None)
    if indent is None:
        return None
    at, comma = _end(source, spans[-1][1], closing)
    text = ", ".join(codes)
    return at, at, f"{'' if comma else ','}\n{indent}{text}{',' if comma else ''}"


def removed(source: Source, node: Bracketed, numbers: Sequence[int]) -> list[Edit]:
    """The items of these numbers taken out, each with the comma that parted it from the one before."""
    spans = items(source, node)
    _, closing = _bounds(source, node, spans)
    kept = [number for number in range(len(spans)) if number not in numbers]
    if not kept:
        return [(spans[0][0], spans[-1][1], "")]

    def end(number: int) -> int:
        """Its own parentheses included, but not the comma."""
        behind = spans[number + 1][0] if number + 1 < len(spans) else closing
        gap = without_comments(source.text[spans[number][1] : behind]).partition(",")[0]
        return spans[number][1] + gap.rfind(")") + 1

    head = [(spans[0][0], spans[kept[0]][0], "")] if kept[0] > 0 else []
    return head + [(end(number - 1), end(number), "") for number in numbers if number > kept[0]]
