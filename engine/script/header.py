"""The change summary at the top of a version's script, and its VERSION constant."""

from __future__ import annotations

import re
import textwrap

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.edit import replace_literal
from progtrain.engine.script.action.trees import version_value
from progtrain.engine.script.nodes import span_of
from progtrain.engine.script.settings import parse_script
from progtrain.engine.text import clean_line

_WIDTH = 100
_TITLE = re.compile(r"# --- progtrain: (\S+), made from (\S+) ---")
_END = "# --- end of the change summary ---"
_CODING = re.compile(r"#.*coding[:=]")


def with_header(source: str, version: str, base: str, action_text: str, reason: str) -> str:
    """The script with its change summary put on top, after shebang and encoding, in place of an earlier one."""
    newline = "\r\n" if "\r\n" in source else "\n"
    lines = _without_header(source.splitlines(keepends=True))
    top = _first_line(lines)
    block = [f"# --- progtrain: {version}, made from {base} ---"]
    block += _comment("action", action_text) + _comment("why", reason) + [_END]
    while top < len(lines) and not lines[top].strip():
        del lines[top]
    written = [line + newline for line in block] + ([newline] if top < len(lines) else [])
    return "".join(lines[:top] + written + lines[top:])


def read_header(source: str) -> dict[str, str]:
    """`version`, the `base` it was made from, by which `action`, and `why`; empty for a script without a summary."""
    lines = source.splitlines()
    found = _header_span(lines)
    title = _TITLE.match(lines[found[0]].strip()) if found else None
    if found is None or title is None:
        return {}
    parts = {"version": title[1], "base": title[2], "action": "", "why": ""}
    current = "action"
    for line in lines[found[0] + 1 : found[1] - 1]:
        text = line.strip().removeprefix("#").strip()
        name, colon, rest = text.partition(": ")
        if colon and name in ("action", "why") and not line.startswith("#  "):
            current, text = name, rest
        parts[current] = f"{parts[current]} {text}".strip()
    return parts


def without_header(source: str) -> str:
    """The script below its change summary: what a reader wants to compare."""
    return "".join(_without_header(source.splitlines(keepends=True)))


def set_version(source: str, version: str) -> str:
    """The script with its VERSION constant moved. Raises `InputError` when it has none."""
    for statement in parse_script(source).body:
        value = version_value(statement)
        if value is not None:
            return replace_literal(source, span_of(value), version)
    raise InputError(
        "the script has no VERSION constant",
        fix=f'add `VERSION = "{version}"` beside the other constants, and let the artifact path follow it',
    )


def _comment(name: str, text: str) -> list[str]:
    # what stands here comes from models and users: one paragraph of harmless text, never code
    said = f"{name}: {' '.join(clean_line(text).split()) or 'not given'}"
    return textwrap.wrap(said, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)


def _header_span(lines: list[str]) -> tuple[int, int] | None:
    """First line of the block and the line after it; it lies before any code."""
    start = None
    for number, line in enumerate(lines):
        text = line.strip()
        if text and not text.startswith("#"):
            return None
        if start is None and _TITLE.match(text):
            start = number
        elif start is not None and text == _END:
            return start, number + 1
    return None


def _without_header(lines: list[str]) -> list[str]:
    found = _header_span(lines)
    if found is None:
        return lines
    start, end = found
    if end < len(lines) and not lines[end].strip():
        end += 1
    return lines[:start] + lines[end:]


def _first_line(lines: list[str]) -> int:
    top = 1 if lines and lines[0].startswith("#!") else 0
    return top + 1 if len(lines) > top and _CODING.match(lines[top]) else top
