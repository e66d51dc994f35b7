"""Changing one literal of a script and nothing else."""

from __future__ import annotations

import ast
import re
from decimal import Decimal

from progtrain.engine.script.editor import Source
from progtrain.engine.script.nodes import Span
from progtrain.engine.script.settings import STORES, Value
from progtrain.engine.values import show


def replace_literal(source: str, span: Span, value: Value) -> str:
    """The script with the literal of a setting changed, which was found in this very `source`. No checks."""
    script = Source(source)
    start, end, _ = script.replace_span(span, "")
    there = source[start:end]
    written = format_literal(value, like=there)
    if isinstance(value, bool) and there.strip("\"'") in STORES:
        written = f"{there}, default={written}"  # a flag of the command line, whose default nobody wrote
    return script.apply([(start, end, written)])


def format_literal(value: Value, like: str = "") -> str:
    """Python for `value`, in the notation of `like`: exponents, underscores, quotes and brackets are kept."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, str):
        return _quoted(value, like)
    if isinstance(value, list | tuple):
        return _listed(tuple(value), like)
    if isinstance(value, int):
        return f"{value:_}" if re.search(r"\d_\d", like) else repr(value)
    return _float(value, scientific=bool(re.search(r"\d[eE]", like)) and not like.lower().startswith("0x"))


def _float(value: float, scientific: bool) -> str:
    plain = repr(value)
    if scientific and value and not 0.01 <= abs(value) < 10_000:
        sign, digits, exponent = Decimal(plain).normalize().as_tuple()
        text = "".join(map(str, digits))
        power = int(exponent) + len(text) - 1
        mantissa = text[0] + ("." + text[1:] if text[1:] else "")
        return f"{'-' if sign else ''}{mantissa}e{power}"
    return show(value)


def _quoted(value: str, like: str) -> str:
    written = repr(value)
    if like.lstrip("rRbBuUfF").startswith('"') and written.startswith("'") and '"' not in value:
        return f'"{written[1:-1]}"'
    return written


def _listed(value: tuple[object, ...], like: str) -> str:
    try:
        items_before = getattr(ast.parse(like, mode="eval").body, "elts", [])
    except SyntaxError:
        items_before = []
    parts = [ast.get_source_segment(like, item) or "" for item in items_before]
    style = parts + [like] * len(value)
    items = ", ".join(
        format_literal(item if isinstance(item, int | float | str) else str(item), like=style[index])
        for index, item in enumerate(value)
    )
    if like.startswith("["):
        return f"[{items}]"
    return f"({items},)" if len(value) == 1 else f"({items})"
