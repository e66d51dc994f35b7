"""Lines that are drawn only while they are in view: logs, diffs and tables of any length."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip


class LineView(ScrollView, can_focus=True):
    """Subclasses give `count` and `line`, and call `renew` when either has changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Up", show=False, id="up"),
        Binding("down,j", "scroll_down", "Down", show=False, id="down"),
        # no h and l here: beside a diff under review, h asks for a hint
        Binding("left", "scroll_left", "Left", show=False, id="left"),
        Binding("right", "scroll_right", "Right", show=False, id="right"),
        Binding("pageup,ctrl+u", "page_up", "Page up", show=False, id="page_up"),
        Binding("pagedown,ctrl+d", "page_down", "Page down", show=False, id="page_down"),
        Binding("g,home", "scroll_home", "First", show=False, id="first"),
        Binding("G,end", "scroll_end", "Last", show=False, id="last"),
    ]

    #: width of the longest line, for scrolling sideways; 0: lines are cut at the edge
    content_width = 0
    _ground = Style()

    @property
    def count(self) -> int:
        raise NotImplementedError

    def line(self, index: int, width: int) -> Text:
        raise NotImplementedError

    def renew(self) -> None:
        """Number or content of lines has changed."""
        size = Size(max(self.content_width, 1), self.count + self.header_height)
        if size != self.virtual_size:
            self.virtual_size = size
        self.refresh()

    @property
    def header_height(self) -> int:
        return 0

    def header(self, width: int) -> Text:
        return Text("")

    def render_lines(self, crop: Region) -> list[Strip]:
        self._ground = self.rich_style  # of all lines: to work it out takes longer than a line
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        across, down = self.scroll_offset
        if y < self.header_height:
            text = self.header(width)
        else:
            index = y + down - self.header_height
            if not 0 <= index < self.count:
                return Strip.blank(width, self._ground)
            text = self.line(index, width)
        text.end = ""
        if text.style:
            text.stylize_before(text.style)  # Rich renders spans alone
        strip = Strip(text.render(self.app.console)).crop(across, across + width)
        return strip.adjust_cell_length(width).apply_style(self._ground)

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """A bar is told of a move only while it is there: one that appears learns where the view is."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    def action_page_up(self) -> None:
        self.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        self.scroll_page_down(animate=False)

    def action_scroll_home(self) -> None:
        self.scroll_home(animate=False)

    def action_scroll_end(self) -> None:
        self.scroll_end(animate=False)
