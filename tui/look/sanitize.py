"""What widgets and tables need besides `progtrain.engine.text`, which makes plain text of whatever comes in."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from progtrain.engine.text import clean_line, clean_text

__all__ = ["as_text", "clean_line", "clean_markdown", "clean_text", "glimpse", "last_overwrite", "narrowed", "shorten"]

#: characters of one cell or label: nobody reads more, and a widget would lay out all of it
_LONGEST_LABEL = 4000


def last_overwrite(line: str | bytes) -> str:
    """What stands on the line in the end when progress bars have overwritten it with carriage returns."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    parts = [part for part in text.rstrip("\r\n").split("\r") if part.strip()]
    return clean_line(parts[-1]) if parts else ""


def as_text(value: object, style: str = "") -> Text:
    """A value for tables and labels: never read as markup."""
    text = value if isinstance(value, str | bytes) else str(value)
    return Text(clean_line(text[:_LONGEST_LABEL]), style=style, no_wrap=True, end="")


def glimpse(value: str, most: int = 2000) -> str:
    """The beginning of a text that may have any length, harmless; says so where it goes on."""
    return clean_text(value) if len(value) <= most else f"{clean_text(value[:most])}\n… {len(value) - most:,} more"


def clean_markdown(value: str | bytes) -> str:
    """A document for the Markdown widget: plain text first, links and pictures of no effect."""
    text = clean_text(value)
    # neither part may hold its own opening bracket: a line of a hundred thousand of them takes no time
    text = re.sub(r"!\[([^\[\]\n]*)\]\([^()\n]*\)", r"[picture: \1]", text)
    return re.sub(r"\[([^\[\]\n]*)\]\(([^()\n]*)\)", _plain_link, text)


def _plain_link(match: re.Match[str]) -> str:
    label, target = match[1].strip(), match[2].strip()
    return label if target in {"", label} else f"{label} (`{target.replace('`', '')}`)"


def shorten(text: str, width: int, dots: str = "…") -> str:
    """Long names lose their middle, so that both ends still tell what they are."""
    if len(text) <= 8 * width and cell_len(text) <= width:
        return text
    if width <= len(dots):
        return dots[:width]
    room = width - len(dots)
    # no letter has more marks than seven: a text of a million characters is not looked at whole
    head, tail = text[: 8 * width], text[-8 * width :]
    while cell_len(head) > (room + 1) // 2:
        head = head[:-1]
    while cell_len(tail) > room // 2:
        tail = tail[1:]
    return f"{head}{dots}{tail if room // 2 else ''}"


def narrowed(widths: Sequence[int], least: Sequence[int], over: int) -> list[int]:
    """Widths of columns that give up `-over` cells, the widest first, none more than it has to have."""
    found = list(widths)
    for _ in range(-over):
        spare = [place for place, width in enumerate(found) if width > least[place]]
        if not spare:
            break
        found[max(spare, key=found.__getitem__)] -= 1
    return found
