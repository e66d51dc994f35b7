"""Changing one literal of a script and nothing else."""

from __future__ import annotations

import ast
import re
from decimal import Decimal

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.operation import SetOperation, show
from progtrain.engine.script.names import WHOLE_NUMBERS
from progtrain.engine.script.settings import (
    Setting,
    Value,
    choose_setting,
    duplicates,
    find_settings,
    refuse_value,
    suggest,
)

#: what the loop keeps the same, or moves itself
_FIXED = {
    "version": "VERSION moves with the version",
    "dataset_id": "the data stays the same until the loop ends",
    "seed": "another seed is no improvement",
}
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")


def locate(source: str, operation: SetOperation, filename: str = "") -> tuple[Setting, Value]:
    """The setting that the operation means, and the value as the script would hold it.

    Raises `InputError` when there is none, several, another value than expected, or no sense in the new one.
    """
    settings = find_settings(source, filename)
    name = operation.setting
    setting = choose_setting(settings, name, filename)
    if setting is None:
        near = suggest(settings, name)
        raise InputError(
            f"the script has no setting {name!r} that is a literal",
            file=filename or None,
            fix=f"did you mean {near[0]}?" if near else "`progtrain check` lists the settings that it has",
        )
    if setting.key in _FIXED:
        raise InputError(
            f"{setting.name} cannot be set by an action: {_FIXED[setting.key]}",
            file=filename or None,
            place=setting.line,
            fix="choose another setting",
        )
    others = [s for s in duplicates(settings, setting) if s.name == name or setting.name != name]
    if others:
        raise InputError(
            f"{name} is set in {len(others) + 1} places: {setting.name} (line {setting.line}) and "
            + ", ".join(f"{s.name} (line {s.line})" for s in others),
            file=filename or None,
            place=others[0].line,
            fix="let the script take them from one constant, or name one of the places in the action",
        )
    if operation.expects and not values.same(operation.from_, setting.value):
        raise InputError(
            f"the action expects {name} = {show(operation.from_)}, but the script says {show(setting.value)}",
            file=filename or None,
            place=setting.line,
            fix=f"write `from: {show(setting.value)}` or leave `from` out",
        )
    return setting, _fitted(setting, operation.to, filename)


def _fitted(setting: Setting, value: object, filename: str) -> Value:
    def refuse(reason: str) -> InputError:
        return InputError(
            reason, file=filename or None, place=setting.line, fix="choose a value of the same kind, in range"
        )

    old = setting.value
    if why := refuse_value(setting.key, value):
        raise refuse(why)
    if values.same(old, value):
        raise refuse(f"{setting.name} is {show(old)} already")
    if isinstance(value, list | tuple):
        return _fitted_items(setting, value, refuse(f"{setting.name} holds {show(old)}, not a list"))
    if not isinstance(value, int | float | str | None):
        raise refuse(f"{value!r} is not a value that a setting can have")
    if value is None or old is None:
        return value
    if _kind(old) != _kind(value):
        raise refuse(f"{setting.name} holds {_kind(old)}, and {value!r} is {_kind(value)}")
    return _number_like(old, value, setting.key)


def _fitted_items(setting: Setting, value: list[object] | tuple[object, ...], refusal: InputError) -> Value:
    plain = all(isinstance(item, int | float | str) for item in value)
    if not isinstance(setting.value, tuple | None) or not plain or not value:
        raise refusal
    return tuple(value)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "a list"


def _number_like(old: Value, value: int | float | str, key: str) -> int | float | str:
    """1 stays 1.0 where the script has a float, and 15.0 becomes 15 where it counts in whole numbers."""
    if isinstance(value, bool | str):
        return value
    if isinstance(old, float) and key not in WHOLE_NUMBERS:
        return float(value)
    return int(value) if value == int(value) and isinstance(old, int) else value


def set_setting(source: str, operation: SetOperation, *, filename: str = "") -> str:
    """The script with one literal changed, written in the manner of the one that it replaces."""
    setting, value = locate(source, operation, filename)
    return replace_literal(source, setting, value)


def replace_literal(source: str, setting: Setting, value: Value) -> str:
    """As `set_setting`, for a setting already found in this very `source`. No checks."""
    start, end = (_offset(source, *place) for place in (setting.span[:2], setting.span[2:]))
    return source[:start] + format_literal(value, like=source[start:end]) + source[end:]


def _offset(source: str, line: int, column: int) -> int:
    """`ast` counts columns in UTF-8 bytes, and takes \\r, \\n and \\r\\n as ends of lines."""
    position = 0
    for number, match in enumerate(_LINE.finditer(source), start=1):
        if number == line:
            return position + len(match[0].encode()[:column].decode())
        position = match.end()
    raise ValueError(f"no line {line}")


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
