"""A unified diff as text, or its two sides beside each other."""

from __future__ import annotations

from itertools import zip_longest

from rich.text import Text

from progtrain.tui.look.colours import BAD, GOOD, NOW
from progtrain.tui.look.sanitize import clean_text
from progtrain.tui.widgets.line_view import LineView


class DiffView(LineView):
    def __init__(self, *, id: str | None = None, empty: str = "no difference") -> None:
        super().__init__(id=id)
        self.empty = empty
        self.split = False
        self.source = ""
        self._lines: list[str] = []
        self._pairs: list[tuple[str, str]] = []

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
            return _split_line(*self._pairs[index], width)
        return Text(self._lines[index], style=_style(self._lines[index]), no_wrap=True)


def _split_line(before: str, after: str, width: int) -> Text:
    if before.startswith("@@"):
        return Text(before[:width], style=NOW, no_wrap=True)
    half = max(8, (width - 3) // 2)
    line = Text(no_wrap=True)
    left, right = Text(before, no_wrap=True), Text(after, no_wrap=True)
    left.truncate(half, overflow="ellipsis", pad=True)
    right.truncate(half, overflow="ellipsis")
    if before != after:
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


def pair_up(lines: list[str]) -> list[tuple[str, str]]:
    """Both sides of each line; "" where one has none. Removed and added lines of a block stand beside each other."""
    pairs: list[tuple[str, str]] = []
    removed: list[str] = []
    added: list[str] = []
    for line in [*lines, ""]:
        # a block ends with a line that is in both, and with the first that is removed after some were added
        if not line.startswith(("-", "+")) or (line.startswith("-") and added):
            pairs += zip_longest(removed, added, fillvalue="")
            removed, added = [], []
        if line.startswith("-"):
            removed.append(line)
        elif line.startswith("+"):
            added.append(line)
        else:
            pairs.append((line, line))
    return pairs[:-1]
