"""Adding an item to a bracketed list of a libcst tree in the manner in which the list is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libcst as cst

_Space = cst.BaseParenthesizableWhitespace
_PLAIN_END = cst.TrailingWhitespace()
_NONE = cst.SimpleWhitespace("")
_ONE = cst.SimpleWhitespace(" ")


def append_argument(call: cst.Call, argument: cst.Arg, wide: bool = False, indent: str = "") -> cst.Call:
    """`wide`: the line, which is indented by `indent`, has no room for it."""
    if not call.args:
        return call.with_changes(args=[argument])
    last = call.args[-1]
    has_comma = isinstance(last.comma, cst.Comma)
    closing = last.comma.whitespace_after if isinstance(last.comma, cst.Comma) else last.whitespace_after_arg
    bare = last.with_changes(whitespace_after_arg=_NONE)
    opening = call.whitespace_before_args
    if wide and not _on_several_lines(call.args, opening):
        opening, closing = _line(indent + "    "), _line(indent)
        call = call.with_changes(whitespace_before_args=opening)
        bare = bare.with_changes(comma=cst.Comma())
        has_comma = True
        items, closing = _append(_each_on_a_line([*call.args[:-1], bare], opening), argument, opening, closing, wide)
    else:
        items, closing = _append([*call.args[:-1], bare], argument, opening, closing, wide)
    new = items[-1]
    if has_comma and isinstance(new.comma, cst.Comma):
        new = new.with_changes(comma=new.comma.with_changes(whitespace_after=closing))
    else:
        new = new.with_changes(whitespace_after_arg=closing)
    return call.with_changes(args=[*items[:-1], new])


def append_element(node: cst.List, element: cst.Element, wide: bool = False, indent: str = "") -> cst.List:
    if not node.elements:
        return node.with_changes(elements=[element])
    elements = list(node.elements)
    opening, closing = node.lbracket.whitespace_after, node.rbracket.whitespace_before
    if wide and not _on_several_lines(elements, opening):
        opening, closing = _line(indent + "    "), _line(indent)
        elements = _each_on_a_line(elements, opening)
    items, closing = _append(elements, element, opening, closing, wide)
    return node.with_changes(
        elements=items,
        lbracket=node.lbracket.with_changes(whitespace_after=opening),
        rbracket=node.rbracket.with_changes(whitespace_before=closing),
    )


def append_entry(node: cst.Dict, entry: cst.DictElement) -> cst.Dict:
    if not node.elements:
        return node.with_changes(elements=[entry])
    items, closing = _append(list(node.elements), entry, node.lbrace.whitespace_after, node.rbrace.whitespace_before)
    return node.with_changes(elements=items, rbrace=node.rbrace.with_changes(whitespace_before=closing))


def add_import_name(node: cst.ImportFrom, name: str) -> cst.ImportFrom:
    """`from a import b` -> `from a import b, c`, in order where the names stand in order."""
    if isinstance(node.names, cst.ImportStar):
        return node
    names = list(node.names)
    written = [cst.Module([]).code_for_node(alias.name) for alias in names]
    alias = cst.ImportAlias(cst.Name(name))
    later = next((i for i, other in enumerate(written) if other > name), None)
    if later is not None and written == sorted(written):
        between = cst.Comma(whitespace_after=_bare(_separator(names, _ONE)))
        return node.with_changes(names=[*names[:later], alias.with_changes(comma=between), *names[later:]])
    last = names[-1].comma
    closing: _Space = node.rpar.whitespace_before if node.rpar else _NONE
    if isinstance(last, cst.Comma):
        closing = last.whitespace_after
    items, closing = _append(names, alias, node.lpar.whitespace_after if node.lpar else _NONE, closing)
    new = items[-1]
    if isinstance(new.comma, cst.Comma):
        items[-1] = new.with_changes(comma=new.comma.with_changes(whitespace_after=closing))
    elif node.rpar:
        node = node.with_changes(rpar=node.rpar.with_changes(whitespace_before=closing))
    return node.with_changes(names=items)


def insert_after(items: Sequence[Any], index: int, new: Any) -> list[Any]:
    """Puts `new` after `items[index]`, which is not the last."""
    before = items[index]
    comma = before.comma if isinstance(before.comma, cst.Comma) else cst.Comma()
    space = comma.whitespace_after
    own = rest = space
    if isinstance(space, cst.ParenthesizedWhitespace):
        # a comment at the end of the line belongs to the item before, comment lines below to the item after
        own = space.with_changes(empty_lines=[])
        rest = space.with_changes(first_line=_PLAIN_END)
    return [
        *items[:index],
        before.with_changes(comma=comma.with_changes(whitespace_after=own)),
        new.with_changes(comma=cst.Comma(whitespace_after=rest)),
        *items[index + 1 :],
    ]


def _append(
    items: list[Any], new: Any, opening: _Space, closing: _Space, wide: bool = False
) -> tuple[list[Any], _Space]:
    """The items, and the whitespace that then stands before the closing bracket."""
    last = items[-1]
    between = _separator(items, opening)
    if wide and not isinstance(between, cst.ParenthesizedWhitespace):
        between = next(iter(_line_breaks(items, opening)), between)
    if not isinstance(between, cst.ParenthesizedWhitespace):
        joined = last.with_changes(comma=cst.Comma(whitespace_after=_ONE))
        return [*items[:-1], joined, new], closing
    ended = closing.first_line if isinstance(closing, cst.ParenthesizedWhitespace) else _PLAIN_END
    space = between.with_changes(first_line=ended, empty_lines=[])
    joined = last.with_changes(comma=cst.Comma(whitespace_after=space))
    if isinstance(closing, cst.ParenthesizedWhitespace):
        closing = closing.with_changes(first_line=_PLAIN_END)
    trailing = isinstance(last.comma, cst.Comma)
    return [*items[:-1], joined, new.with_changes(comma=cst.Comma()) if trailing else new], closing


def _separator(items: Sequence[Any], opening: _Space) -> _Space:
    if len(items) > 1 and isinstance(items[0].comma, cst.Comma):
        return items[0].comma.whitespace_after
    return opening if opening.empty is False else _ONE


def _line_breaks(items: Sequence[Any], opening: _Space) -> list[cst.ParenthesizedWhitespace]:
    spaces = [item.comma.whitespace_after for item in items if isinstance(item.comma, cst.Comma)]
    return [space for space in (*spaces, opening) if isinstance(space, cst.ParenthesizedWhitespace)]


def _on_several_lines(items: Sequence[Any], opening: _Space) -> bool:
    return bool(_line_breaks(items, opening))


def _each_on_a_line(items: list[Any], space: _Space) -> list[Any]:
    return [item.with_changes(comma=cst.Comma(whitespace_after=space)) for item in items]


def _line(indent: str) -> cst.ParenthesizedWhitespace:
    return cst.ParenthesizedWhitespace(indent=True, last_line=cst.SimpleWhitespace(indent))


def _bare(space: _Space) -> _Space:
    if isinstance(space, cst.ParenthesizedWhitespace):
        return space.with_changes(first_line=_PLAIN_END, empty_lines=[])
    return space
