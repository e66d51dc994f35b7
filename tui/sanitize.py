"""What comes from scripts, logs, data and models becomes plain text here, before any widget sees it (T8).

No escape sequence, control character, or invisible character that reorders or hides text gets through.
"""

from __future__ import annotations

import re
import unicodedata

from rich.cells import cell_len
from rich.text import Text

_ESCAPES = re.compile(
    r"""
    (?:\x1b[PX^_\]]|[\x90\x98\x9d\x9e\x9f])      # DCS, SOS, OSC, PM, APC: up to their end, or the line's
        [^\x07\x1b\x9c\n]*
        (?:\x07|\x1b\\|\x9c)?
    | (?:\x1b\[|\x9b) [0-?]* [ -/]* [@-~]?         # CSI
    | \x1b [ -/]* [0-~]?                           # every other sequence
    """,
    re.VERBOSE,
)
#: control characters, soft hyphen, characters that reorder or hide text, separators, surrogates, tags
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_NEWLINES = re.compile("\r\n|\r|\x85|\u2028|\u2029")
_PLAIN = re.compile(r"[\n\x20-\x7e]*")
#: more marks than this on one letter climb out of their line in some terminals
_MARKS = 3
_TAB = 4


def clean_text(value: str | bytes) -> str:
    """Several lines of text, ended by `\\n`. Bytes that are not UTF-8 show as `�`."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if _PLAIN.fullmatch(text):
        return text
    text = _NEWLINES.sub("\n", _ESCAPES.sub("", text))
    text = _UNSEEN.sub("", text)
    if not text.isascii():
        text = _limit_marks(text)
    return text.expandtabs(_TAB) if "\t" in text else text


def clean_line(value: object) -> str:
    """One line: line breaks become spaces. Values that are not text are shown as Python writes them."""
    text = clean_text(value if isinstance(value, str | bytes) else str(value))
    return text.replace("\n", " ") if "\n" in text else text


def last_overwrite(line: str | bytes) -> str:
    """What stands on the line in the end when progress bars have overwritten it with carriage returns."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    parts = [part for part in text.rstrip("\r\n").split("\r") if part.strip()]
    return clean_line(parts[-1]) if parts else ""


def as_text(value: object, style: str = "") -> Text:
    """A value for tables and labels: never read as markup."""
    return Text(clean_line(value), style=style, no_wrap=True, end="")


def clean_markdown(value: str | bytes) -> str:
    """A document for the Markdown widget: plain text first, links and pictures of no effect."""
    text = clean_text(value)
    text = re.sub(r"!\[([^\]\n]*)\]\([^)\n]*\)", r"[picture: \1]", text)
    return re.sub(r"\[([^\]\n]*)\]\(([^)\n]*)\)", _plain_link, text)


def _plain_link(match: re.Match[str]) -> str:
    label, target = match[1].strip(), match[2].strip()
    return label if target in {"", label} else f"{label} (`{target.replace('`', '')}`)"


def shorten(text: str, width: int, dots: str = "…") -> str:
    """Long names lose their middle, so that both ends still tell what they are."""
    if cell_len(text) <= width:
        return text
    if width <= len(dots):
        return dots[:width]
    room = width - len(dots)
    head, tail = text, text
    while cell_len(head) > (room + 1) // 2:
        head = head[:-1]
    while cell_len(tail) > room // 2:
        tail = tail[1:]
    return f"{head}{dots}{tail if room // 2 else ''}"


def _limit_marks(text: str) -> str:
    result: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= _MARKS:
            result.append("�" if category == "Cn" else char)
    return "".join(result)
