"""Reading `action-extract.md` back: the operation in its YAML block counts, whoever wrote it.

Layout may be edited freely: heading levels, prose, line ends, the fence's marks and language. What may not: none
or two operations, unknown keys, YAML that does not parse.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.operations import Operation, parse_operation
from progtrain.engine.script.names import nearest
from progtrain.engine.workspace import version_number
from progtrain.engine.yaml_text import composed, constructed, refuse_keys_twice

SELECTED, DEFERRED = "Selected Action (only 1)", "Deferred Candidates"
GOAL, CHANGE, WHERE = "Goal", "Change", "Where"
IMPACT, RISK, VERIFICATION = "Expected impact", "Risk", "Verification"

_EXAMPLE = "write one fenced block: ```yaml, `operation: set`, `setting: learning_rate`, `to: 0.0003`, ```"
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$")
_NAME = r"(?P<name>[A-Za-z_][\w.-]*)"
_AGAIN = r"(?:(?P=name) *[=:] *)?"
#: `LR = 0.1` -> `LR = 0.05`, in a sentence or alone in a line
_CHANGES = (
    re.compile(rf"`{_NAME} *[=:] *(?P<old>[^`]+?)` *(?:->|→|=>) *`{_AGAIN}(?P<new>[^`=]+?)`"),
    re.compile(rf"^[-*+> ]*`?{_NAME} *[=:] *(?P<old>[^`=>→]+?) *(?:->|→|=>) *{_AGAIN}(?P<new>[^`=→]+?)[`.;]*$"),
)
_LABELS = frozenset({"", "yaml", "yml", "text", "txt", "operation"})
_OPERATION = re.compile(r"^[ \t]*operation[ \t]*:", re.MULTILINE)


@dataclass(frozen=True)
class ParsedAction:
    """What the file says."""

    operation: Operation
    #: version to apply it to, where the block names one
    base: str | None
    #: empty where its section is missing
    goal: str = ""


#: line of its first content line, from 1; its text
_Block = tuple[int, str]


def parse_action(text: str, file: Path | str | None = None) -> ParsedAction:
    """Raises `InputError` with line and fix: no operation, two of them, an unknown key, bad YAML."""
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    blocks = list(_blocks(lines, file))
    spelled = [] if blocks else _spelled_out(lines)
    if len(spelled) == 1:
        line, data = spelled[0]
        return ParsedAction(parse_operation(data, file=file, place=line), None, _section(lines, GOAL))
    if not blocks and not spelled:
        raise InputError("no operation in it", file=file, place=_change_line(lines), fix=_EXAMPLE)
    if len(several := [line for line, _ in blocks or spelled]) > 1:
        raise InputError(
            f"two operations, in lines {several[0]} and {several[1]}: one action makes one version",
            file=file,
            place=several[1],
            fix="delete one of the blocks" if blocks else "leave one of the changes",
        )
    data = _without_names(_mapping(blocks[0], file))
    base = _base(data, blocks[0], file)
    operation = parse_operation(data, file=file, place=_place(blocks[0], data))
    return ParsedAction(operation, base, _section(lines, GOAL))


def _blocks(lines: list[str], file: Path | str | None) -> Iterator[_Block]:
    """Those that hold an operation."""
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines, start=1):
        match = _FENCE.match(line)
        if opened is None:
            if match:
                opened = number, match[1], match[2].strip().casefold()
            continue
        start, marks, language = opened
        if match and match[1].startswith(marks) and not match[2].strip():
            text = "\n".join(lines[start : number - 1])
            if _is_operation(language, text):
                yield start + 1, text
            opened = None
    if opened:
        raise InputError(
            "the fenced block that begins here has no end",
            file=file,
            place=opened[0],
            fix=f"close it with a line of {opened[1]}",
        )


def _spelled_out(lines: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """Changes that the section of the change spells out without a block, or a file without headings: each with its
    line, as an operation.
    """
    whole = "" if any(_HEADING.match(line) for line in lines) else "\n".join(lines)
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for line in (_section(lines, CHANGE) or _section(lines, SELECTED) or whole).split("\n"):
        if match := next((match for form in _CHANGES if (match := form.search(line.strip()))), None):
            data = {"setting": match["name"], "from": _value(match["old"]), "to": _value(match["new"])}
            found.setdefault(repr(data), (lines.index(line) + 1 if line in lines else 1, {"operation": "set", **data}))
    return list(found.values())


def _without_names(data: dict[Any, Any]) -> dict[Any, Any]:
    """`to: LR = 0.05` of the setting LR is 0.05."""
    name = data.get("setting")
    if data.get("operation") != "set" or not isinstance(name, str):
        return data
    before = re.compile(rf"{re.escape(name)} *=(?!=) *")
    return {
        key: _value(before.sub("", value, count=1))
        if key in ("from", "to") and isinstance(value, str) and before.match(value)
        else value
        for key, value in data.items()
    }


def _value(text: str) -> Any:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text.strip()
    return value if value is None or isinstance(value, int | float | str | list | tuple) else text.strip()


def _is_operation(language: str, text: str) -> bool:
    """A block in YAML, or without a language but with the key `operation`."""
    word = language.split(" ")[0].strip("{}.")
    if word in ("yaml", "yml"):
        if not _OPERATION.search(text) and any(
            form.search(line.strip()) for form in _CHANGES for line in text.split("\n")
        ):
            return False
        return any(line.strip() and not line.strip().startswith("#") for line in text.split("\n"))
    return word in _LABELS and bool(_OPERATION.search(text))


def _mapping(block: _Block, file: Path | str | None) -> dict[Any, Any]:
    line, text = block
    try:
        found = composed(text)
        for node in found:
            refuse_keys_twice(node)
        documents = [document for node in found if (document := constructed(node)) is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        place = line + (mark.line if mark else 0)
        raise InputError(f"not valid YAML: {reason}", file=file, place=place, fix=_EXAMPLE) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid YAML: {error}", file=file, place=line, fix=_EXAMPLE) from error
    if len(documents) > 1 or (documents and isinstance(documents[0], list) and len(documents[0]) > 1):
        raise InputError(
            "two operations in one block: one action makes one version",
            file=file,
            place=line,
            fix="keep one of them",
        )
    only = documents[0] if documents else None
    if isinstance(only, list) and len(only) == 1:
        only = only[0]
    if not isinstance(only, dict):
        raise InputError("an operation is a mapping of keys", file=file, place=line, fix=_EXAMPLE)
    return only


def _base(data: dict[Any, Any], block: _Block, file: Path | str | None) -> str | None:
    """Takes `base` out of the block's keys."""
    close = [key for key in data if isinstance(key, str) and key != "base" and nearest(key, ["base"])]
    if close and "base" not in data:
        raise InputError(
            f"unknown key {close[0]!r}", file=file, place=_line_of(block, close[0]), fix="did you mean `base`?"
        )
    base = data.pop("base", None)
    if base is None:
        return None
    if not isinstance(base, str) or version_number(base) is None:
        raise InputError(
            f"base: {base!r} is no version",
            file=file,
            place=_line_of(block, "base"),
            fix="name a version, such as `base: v002`, or leave the line out",
        )
    return base


def _place(block: _Block, data: dict[Any, Any]) -> int:
    """The line of the key that is most likely meant by an error: an unknown one, else the first."""
    known = {"operation", "setting", "from", "to", "recipe", "parameters", "version", "function", "body"}
    known |= {"addition", "focus", "augment", "replay", "seed", "control"}
    for key in data:
        if key not in known:
            return _line_of(block, str(key))
    return _line_of(block, "operation")


def _line_of(block: _Block, key: str) -> int:
    first, text = block
    for number, line in enumerate(text.split("\n"), start=first):
        if re.match(rf"\s*(- )?['\"]?{re.escape(key)}['\"]?\s*:", line):
            return number
    return first


def _change_line(lines: list[str]) -> int:
    """The heading `Change`, where the block belongs; the first line without it."""
    for number, line in enumerate(lines, start=1):
        match = _HEADING.match(line)
        if match and match[2].strip().casefold() == CHANGE.casefold():
            return number
    return 1


def _section(lines: list[str], title: str) -> str:
    """What stands under a heading, up to the next; fenced blocks hold no headings. Empty where there is none."""
    found: list[str] = []
    inside = False
    fence: str | None = None
    for line in lines:
        if mark := _FENCE.match(line):
            fence = mark[1] if fence is None else None if mark[1].startswith(fence) else fence
        elif fence is None and (heading := _HEADING.match(line)):
            inside = heading[2].strip(" *_:").casefold() == title.casefold()
            continue
        if inside:
            found.append(line)
    return "\n".join(found).strip()
