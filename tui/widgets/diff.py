"""A unified diff as text, or its two sides beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from progtrain.tui.look.colours import BAD, GOOD, NOW
from progtrain.tui.look.sanitize import clean_text
from progtrain.tui.widgets.line_view import LineView


@dataclass(frozen=True)
class Pair:
    """One line of the split view: (line, sign) on each side; "" where that side has none."""

    left: str
    right: str
    changed: bool
    head: bool = False


class DiffView(LineView):
    def __init__(self, *, id: str | None = None, empty: str = "no difference") -> None:
        super().__init__(id=id)
        self.empty = empty
        self.split = False
        self.source = ""
        self._lines: list[str] = []
        self._pairs: list[Pair] = []

    @property
    def count(self) -> int:
        return max(1, len(self._pairs if self.split else self._lines))

    def show(self, diff: str) -> None:
        if diff == self.source:
            return
        self.source = diff
        self._lines = _body(clean_text(diff))
        self._pairs = pair_up(self._lines)
        self._measure()
        self.scroll_home(animate=False)

    def say_when_empty(self, text: str) -> None:
        if text != self.empty:
            self.empty = text
            self.refresh()

    def toggle_split(self) -> None:
        self.split = not self.split
        self._measure()

    def _measure(self) -> None:
        self.content_width = 0 if self.split else max((len(line) for line in self._lines), default=0)
        self.renew()

    def line(self, index: int, width: int) -> Text:
        if not self._lines:
            return Text(self.empty, style="dim")
        if self.split:
            return self._split_line(self._pairs[index], width)
        return Text(self._lines[index], style=_style(self._lines[index]), no_wrap=True)

    def _split_line(self, pair: Pair, width: int) -> Text:
        if pair.head:
            return Text(pair.left[:width], style=NOW, no_wrap=True)
        half = max(8, (width - 3) // 2)
        line = Text(no_wrap=True)
        left, right = Text(pair.left, no_wrap=True), Text(pair.right, no_wrap=True)
        left.truncate(half, overflow="ellipsis", pad=True)
        right.truncate(half, overflow="ellipsis")
        if pair.changed:
            left.stylize(BAD)
            right.stylize(GOOD)
        return line.append_text(left).append(" │ ", "dim").append_text(right)


def _body(diff: str) -> list[str]:
    """Without the two lines of file names, which the pane's title tells."""
    lines = diff.splitlines()
    return lines[2:] if len(lines) > 1 and lines[0].startswith("---") and lines[1].startswith("+++") else lines


def _style(line: str) -> str:
    if line.startswith("@@"):
        return NOW
    return GOOD if line.startswith("+") else BAD if line.startswith("-") else ""


def pair_up(lines: list[str]) -> list[Pair]:
    """Removed and added lines of a block stand beside each other, in order."""
    pairs: list[Pair] = []
    removed: list[str] = []
    added: list[str] = []

    def flush() -> None:
        for index in range(max(len(removed), len(added))):
            left = removed[index] if index < len(removed) else ""
            right = added[index] if index < len(added) else ""
            pairs.append(Pair(left, right, changed=True))
        removed.clear()
        added.clear()

    for line in lines:
        if line.startswith("-"):
            if added:
                flush()
            removed.append(line)
        elif line.startswith("+"):
            added.append(line)
        else:
            flush()
            head = line.startswith("@@")
            pairs.append(Pair(line, line, changed=False, head=head))
    flush()
    return pairs
