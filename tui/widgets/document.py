"""A Markdown document that somebody else wrote, as lines: sanitised, links of no effect.

Rich lays it out and only the lines in view are drawn. A widget for each paragraph and table cell, as Textual's own
Markdown has it, takes a second for an analysis.
"""

from __future__ import annotations

import io
from typing import ClassVar

from rich.console import Console
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme
from textual import events

from progtrain.tui.host import host_of
from progtrain.tui.look.colours import NOW, QUIET
from progtrain.tui.look.sanitize import clean_markdown
from progtrain.tui.widgets.line_view import LineView

#: characters that are laid out between two keys without anybody noticing; more of them in a thread
_AT_ONCE = 20_000

_THEME = Theme(
    {
        "markdown.h1": "bold",
        "markdown.h2": f"bold {NOW}",
        "markdown.h3": "bold",
        "markdown.h4": "bold",
        "markdown.code": "bold",
        "markdown.code_block": "",
        "markdown.table.border": QUIET,
        "markdown.table.header": "bold",
        "markdown.item.bullet": NOW,
    }
)


class Document(LineView):
    # room for the scroll bar is kept free: text laid out without it would lose its last column
    DEFAULT_CSS = "Document { padding: 0 1; scrollbar-gutter: stable; }"
    EMPTY_STYLE: ClassVar[str] = "dim italic"

    def __init__(self, *, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self.empty = empty
        self.source = ""
        self._laid_out: tuple[str, int] = ("", 0)
        self._lines: list[Text] = []

    @property
    def count(self) -> int:
        return max(1, len(self._lines))

    def line(self, index: int, width: int) -> Text:
        if not self._lines:
            return Text(self.empty, style=self.EMPTY_STYLE)
        return self._lines[index].copy()

    def show(self, text: str, *, follow: bool = False) -> None:
        """`follow` keeps the end in view: for a text that is still being written."""
        text = clean_markdown(text)
        if text == self.source:
            return
        before, self.source = self.source, text
        self._lay_out()
        if follow:
            self.scroll_to(y=max(0, self.count - self.scrollable_content_region.height), animate=False, force=True)
        elif not text.startswith(before[:80]):
            self.scroll_to(y=0, animate=False)

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        width, source = self.scrollable_content_region.width, self.source
        if width <= 0 or self._laid_out == (source, width):
            return
        self._laid_out = (source, width)
        if len(source) <= _AT_ONCE:
            self._take(lay_out(source, width), source, width)
        else:
            host = host_of(self)
            host.in_thread(lambda: lay_out(source, width), lambda lines: self._take(lines, source, width))

    def _take(self, lines: list[Text], source: str, width: int) -> None:
        if self._laid_out == (source, width):
            self._lines = lines
            widest = max((line.cell_len for line in lines), default=0)
            self.content_width = widest if widest > width else 0
            self.renew()


def lay_out(source: str, width: int) -> list[Text]:
    if not source.strip():
        return []
    from progtrain.tui.widgets.markdown_elements import PlainMarkdown

    markdown = PlainMarkdown(source, hyperlinks=False, code_theme="ansi_dark")
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", theme=_THEME)
    segments = console.render(markdown, console.options.update(width=width))
    lines: list[Text] = []
    after = "start"
    for row in Segment.split_lines(segments):
        line = _joined(row)
        blank = not line.plain.strip()
        if blank and after != "text":
            continue  # one free line is enough, and none below a heading
        lines.append(line)
        heading = any(segment.style and segment.style.meta.get("heading") for segment in row)
        after = "blank" if blank else "heading" if heading else "text"
    return lines


def _joined(row: list[Segment]) -> Text:
    line = Text(no_wrap=True)
    for segment in row:
        line.append(segment.text, segment.style and segment.style.clear_meta_and_links())
    return line
