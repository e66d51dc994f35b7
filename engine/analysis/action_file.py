"""Reading `action-extract.md` back: the operation in its YAML block counts, whoever wrote it.

Layout may be edited freely: heading levels, prose, line ends, the fence's marks and language. What may not: none
or two operations, unknown keys, YAML that does not parse.
"""

from __future__ import annotations

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

SELECTED, DEFERRED = "Selected Action (only 1)", "Deferred Candidates"
GOAL, CHANGE, WHERE = "Goal", "Change", "Where"
IMPACT, RISK, VERIFICATION = "Expected impact", "Risk", "Verification"

_EXAMPLE = "write one fenced block: ```yaml, `operation: set`, `setting: learning_rate`, `to: 0.0003`, ```"
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$")
_LABELS = frozenset({"", "yaml", "yml", "text", "txt", "operation"})
_OPERATION = re.compile(r"^[ \t]*operation[ \t]*:", re.MULTILINE)


@dataclass(frozen=True)
class ParsedAction:
    """What the file says. Texts are empty where their section is missing."""

    operation: Operation
    #: version to apply it to, where the block names one
    base: str | None
    goal: str = ""
    where: str = ""
    expected_impact: str = ""
    risk: str = ""
    verification: str = ""
    #: line of the block's first content line, from 1
    line: int = 1


@dataclass(frozen=True)
class _Block:
    #: line of its first content line, from 1
    line: int
    language: str
    text: str


def parse_action(text: str, file: Path | str | None = None) -> ParsedAction:
    """Raises `InputError` with line and fix: no operation, two of them, an unknown key, bad YAML."""
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    blocks = [block for block in _blocks(lines, file) if _is_operation(block)]
    if not blocks:
        raise InputError("no operation in it", file=file, place=_change_line(lines), fix=_EXAMPLE)
    if len(blocks) > 1:
        raise InputError(
            f"two operations, in lines {blocks[0].line} and {blocks[1].line}: one action makes one version",
            file=file,
            place=blocks[1].line,
            fix="delete one of the blocks",
        )
    block = blocks[0]
    data = _mapping(block, file)
    base = _base(data, block, file)
    operation = parse_operation(data, file=file, place=_place(block, data))
    sections = _sections(lines)
    return ParsedAction(
        operation=operation,
        base=base,
        goal=sections.get("goal", ""),
        where=sections.get("where", ""),
        expected_impact=sections.get("expected impact", ""),
        risk=sections.get("risk", ""),
        verification=sections.get("verification", ""),
        line=block.line,
    )


def _blocks(lines: list[str], file: Path | str | None) -> Iterator[_Block]:
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines, start=1):
        match = _FENCE.match(line)
        if opened is None:
            if match:
                opened = number, match[1], match[2].strip().casefold()
            continue
        start, marks, language = opened
        if match and match[1].startswith(marks) and not match[2].strip():
            yield _Block(start + 1, language, "\n".join(lines[start : number - 1]))
            opened = None
    if opened:
        raise InputError(
            "the fenced block that begins here has no end",
            file=file,
            place=opened[0],
            fix=f"close it with a line of {opened[1]}",
        )


def _is_operation(block: _Block) -> bool:
    """A block in YAML, or without a language but with the key `operation`."""
    word = block.language.split(" ")[0].strip("{}.")
    if word in ("yaml", "yml"):
        return any(line.strip() and not line.strip().startswith("#") for line in block.text.split("\n"))
    return word in _LABELS and bool(_OPERATION.search(block.text))


def _mapping(block: _Block, file: Path | str | None) -> dict[Any, Any]:
    try:
        documents = [document for document in yaml.load_all(block.text, Loader=_Loader) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = block.line + (mark.line if mark else 0)
        reason = getattr(error, "problem", None) or "it cannot be read"
        raise InputError(f"not valid YAML: {reason}", file=file, place=place, fix=_EXAMPLE) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid YAML: {error}", file=file, place=block.line, fix=_EXAMPLE) from error
    if len(documents) > 1 or (documents and isinstance(documents[0], list) and len(documents[0]) > 1):
        raise InputError(
            "two operations in one block: one action makes one version",
            file=file,
            place=block.line,
            fix="keep one of them",
        )
    only = documents[0] if documents else None
    if isinstance(only, list) and len(only) == 1:
        only = only[0]
    if not isinstance(only, dict):
        raise InputError("an operation is a mapping of keys", file=file, place=block.line, fix=_EXAMPLE)
    return only


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice: of two operations in one mapping YAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key `{key.value}` comes twice", key.start_mark
                )
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


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
    for key in data:
        if key not in known:
            return _line_of(block, str(key))
    return _line_of(block, "operation")


def _line_of(block: _Block, key: str) -> int:
    for number, line in enumerate(block.text.split("\n")):
        if re.match(rf"\s*(- )?['\"]?{re.escape(key)}['\"]?\s*:", line):
            return block.line + number
    return block.line


def _change_line(lines: list[str]) -> int:
    """The heading `Change`, where the block belongs; the first line without it."""
    for number, line in enumerate(lines, start=1):
        match = _HEADING.match(line)
        if match and match[2].strip().casefold() == CHANGE.casefold():
            return number
    return 1


def _sections(lines: list[str]) -> dict[str, str]:
    """Heading, lower case -> the text below it up to the next heading; fenced blocks are no headings."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    fence: str | None = None
    for line in lines:
        if mark := _FENCE.match(line):
            fence = mark[1] if fence is None else None if mark[1].startswith(fence) else fence
        elif fence is None and (heading := _HEADING.match(line)):
            current = found.setdefault(heading[2].strip(" *_:").casefold(), [])
            continue
        current.append(line)
    return {name: "\n".join(body).strip() for name, body in found.items()}
