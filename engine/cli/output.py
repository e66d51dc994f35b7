"""What the command line writes. Everything passes `engine.text` here, so that no control character gets through."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from progtrain.engine import values
from progtrain.engine.text import clean_line, clean_text

#: narrower than this no column is made; a terminal that has no room for it wraps the line itself
_LEAST = 12


def say(text: str = "", *, bold: bool = False, error: bool = False) -> None:
    """Text of whatever origin, made harmless."""
    shown = clean_text(text)
    click.echo(click.style(shown, bold=True) if bold and decorated() else shown, err=error)


def columns() -> int:
    """Of the terminal, as `COLUMNS` says, or else the terminal itself; 80 where neither does.

    As `shutil.get_terminal_size`, whose import takes what 20 versions take of `status`.
    """
    with suppress(KeyError, ValueError):
        if (stated := int(os.environ["COLUMNS"])) > 0:
            return stated
    with suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    return 80


def overwrite(text: str, shown: int) -> int:
    """Writes over a line of `shown` characters, without any escape sequence; empty takes it away. Returns its width."""
    text = clean_line(text)[: columns() - 1]
    if text or shown:
        click.echo(f"\r{text:{shown}}" if text else f"\r{'':{shown}}\r", nl=False)
    return len(text)


def decorated() -> bool:
    """Whether escape sequences may be written: on a terminal that knows them, and unless `NO_COLOR` forbids."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def show(tell: Callable[[], str], interval: float | None) -> None:
    """What `tell` says, once, or every `interval` seconds until Ctrl-C where it has changed; nothing where it says
    nothing, since it has written for itself."""
    shown = ""
    while True:
        if (text := tell()) != shown:
            if interval is not None and decorated():
                click.clear()
            elif shown:
                say()
            say(text)
            shown = text
        if interval is None:
            return
        try:
            time.sleep(interval)
        except KeyboardInterrupt:
            return


def print_json(name: str, value: Mapping[str, Any] | Sequence[Any], *, lines: bool = False) -> None:
    """One JSON object with its schema, `docs/json.md` describes each. A list becomes `rows`. `lines`: on one line."""
    content = {"rows": list(value)} if isinstance(value, Sequence) else value
    whole = {"schema": f"progtrain.{name}/1", **content}
    indent = None if lines else 2
    text = json.dumps(whole, indent=indent, ensure_ascii=False, default=str)
    if clean_text(text) != text or (sys.stdout.encoding or "").lower() != "utf-8":
        # the same values, with everything that a terminal could take for a command written as \\uXXXX
        text = json.dumps(whole, indent=indent, default=str)
    click.echo(text)


def shell(*words: str | Path) -> str:
    """A command as it can be copied into a shell."""
    return shlex.join(str(word) for word in words)


def number(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """A metric, or a change of it; `decimals` are those of its column (`values.places`)."""
    if value is None:
        return "–"
    return values.change(value, decimals) if signed else values.metric(value, decimals)


def table(
    header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = (), width: int | None = None
) -> str:
    """Columns as wide as they need; those in `right` are aligned to the right, the last is folded.

    Never wider than `width` cells; None: the terminal's, without end where there is none. Wide characters count as two
    cells. Not rich's own Table: that takes 0.2 s for 200 rows, and `status` has 0.15 s in all.
    """
    if width is None and sys.stdout.isatty():
        width = columns()
    cells = [[clean_line(str(cell)) for cell in row] for row in [header, *rows]]
    widths = [max(_width(row[i]) for row in cells) for i in range(len(header))]
    if width is not None:
        _fit(widths, width)
    lines = []
    for row in cells:
        folded = [
            _fold(cell, w) if i == len(widths) - 1 else [_shorten(cell, w)]
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        for at in range(max(map(len, folded))):
            parts = [part[at] if at < len(part) else "" for part in folded]
            padded = [
                " " * (w - _width(part)) + part if i in right else part + " " * (w - _width(part))
                for i, (part, w) in enumerate(zip(parts, widths, strict=True))
            ]
            lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """In cells of a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _fit(widths: list[int], width: int) -> None:
    """Takes from the last column first, then from the widest, until all have room."""
    over = sum(widths) + 2 * (len(widths) - 1) - width
    for i in sorted(range(len(widths)), key=lambda i: (i != len(widths) - 1, -widths[i])):
        taken = max(0, min(over, widths[i] - _LEAST))
        widths[i] -= taken
        over -= taken


def _shorten(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1).rstrip() + "…"


def _fold(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken between words where that can be done."""
    if _width(text) <= width and "  " not in text:
        return [text.strip()]
    from rich.cells import chop_cells

    lines: list[str] = []
    for word in text.split():
        if lines and _width(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines += chop_cells(word, width)
    return lines or [""]
