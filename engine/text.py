"""Text for people: what others wrote made harmless, one line of it, diffs, and the ends of logs.

What comes from scripts, logs, data and models becomes plain text here, before any terminal or document sees it: no
escape sequence, control character, or invisible character that reorders or hides text gets through.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import TypeGuard

from progtrain.engine.files import opened

#: compiled by `re` where they are first needed, which ordinary text never does: an app opens sooner
_ESCAPES = r"""(?x)
    (?:\x1b[PX^_\]]|[\x90\x98\x9d\x9e\x9f])      # DCS, SOS, OSC, PM, APC: up to their end, or the line's
        [^\x07\x1b\x9c\n]*
        (?:\x07|\x1b\\|\x9c)?
    | (?:\x1b\[|\x9b) [0-?]* [ -/]* [@-~]?         # CSI
    | \x1b [ -/]* [0-~]?                           # every other sequence
"""
#: control characters, soft hyphen, characters that reorder or hide text, separators, surrogates, tags
_UNSEEN = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
#: bytes of a path, and of a name in it
_LONGEST_PATH, _LONGEST_NAME = 4095, 255
#: those that move or turn what stands around them, wherever they are drawn
_COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NEWLINES = "\r\n|\r|\x85|\u2028|\u2029"
#: needs no look at all: ASCII, and the blocks of arrows, mathematical signs, lines and shapes that we draw with
_PLAIN = re.compile("[\n\x20-\x7e\u2190-\u22ff\u2500-\u25ff]*")
#: below these there are neither marks nor characters that nobody has defined
_FAR = "[^\x00-\u02ff]+"
#: more marks than this on one letter climb out of their line in some terminals
_MARKS = 3
_TAB = 4


def clean_text(value: str | bytes) -> str:
    """Several lines of text, ended by `\\n`. Bytes that are not UTF-8 show as `�`."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if _PLAIN.fullmatch(text):
        return text
    text = re.sub(_NEWLINES, "\n", re.sub(_ESCAPES, "", text))
    text = re.sub(_UNSEEN, "", text)
    if not text.isascii():
        text = re.sub(_FAR, lambda found: _limit_marks(found[0]), text)
    return text.expandtabs(_TAB) if "\t" in text else text


def clean_line(value: object) -> str:
    """One line: line breaks become spaces. Values that are not text are shown as Python writes them."""
    text = clean_text(value if isinstance(value, str | bytes) else str(value))
    return text.replace("\n", " ") if "\n" in text else text


def as_utf8(text: str) -> str:
    """A file name as every file and database takes it: bytes that are not UTF-8 are written as `\\udce9`."""
    return text.encode("utf-8", "backslashreplace").decode()


def blank_control(cells: str) -> str:
    """For what is laid out already: as wide as it was, with a space for each control character."""
    return _COMMANDS.sub(" ", cells)


def _limit_marks(text: str) -> str:
    result: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= _MARKS:
            result.append("�" if category == "Cn" else char)
    return "".join(result)


def shortened(text: str, width: int = 80) -> str:
    """One line for a document: without fences, spaces joined, not longer than `width`."""
    shown = " ".join(clean_line(text).replace("```", "'''").replace("~~~", "'''").split())
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def may_be_path(value: object) -> TypeGuard[str]:
    """Whether a file system can be asked about what a file of others gives for a path."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        name = os.fsencode(value)
    except UnicodeEncodeError:  # half a character
        return False
    return len(name) <= _LONGEST_PATH and max(map(len, name.split(b"/"))) <= _LONGEST_NAME


def unified_diff(old: str, new: str, name: str, old_name: str | None = None, context: int = 3) -> str:
    """Empty when both are the same."""
    import difflib  # with its 5 ms the app's first frame has nothing to do

    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), old_name or name, name, n=context
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def last_line(output: str) -> str:
    """What a program said last, for a message."""
    return (output.strip().splitlines() or ["it printed nothing"])[-1]


def tail(path: Path, limit: int = 64_000) -> str:
    """The end of a log as text, whatever bytes are in it; empty when there is none."""
    try:
        with opened(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def lasting(seconds: float) -> str:
    """How long something has gone on, roughly."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
