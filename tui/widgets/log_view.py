"""The output of the script that runs now, or ran last: follow it, search it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType

from progtrain.tui.look import words
from progtrain.tui.look.sanitize import as_text
from progtrain.tui.model import Model
from progtrain.tui.widgets.line_view import LineView


class LogView(LineView):
    PANE: ClassVar[str] = "output"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "scroll_left", "Left", show=False, id="left"),
        Binding("right,l", "scroll_right", "Right", show=False, id="right"),
        Binding("f", "follow", "Follow", id="log.follow"),
        Binding("n", "next_hit(1)", "Next hit", show=False, id="log.next"),
        Binding("N", "next_hit(-1)", "Previous hit", show=False, id="log.previous"),
    ]

    def __init__(self, *, id: str | None = None, signs: words.Signs = words.UNICODE) -> None:
        super().__init__(id=id)
        self.border_title = "output"
        self.lines: tuple[str, ...] = ()
        self.follow = True
        self.search = ""
        self._signs = signs
        self._seen: tuple[object, ...] = ()
        self._path: Path | None = None
        #: for the title, instead of the name of the job's folder
        self.about = ""

    @property
    def count(self) -> int:
        return max(1, len(self.lines))

    def show(self, model: Model) -> None:
        seen = (model.log_path, model.log, model.log_open)
        if seen == self._seen:
            return
        self._seen = seen
        self._path = model.log_path
        self.lines = (*model.log, model.log_open) if model.log_open else model.log
        self.content_width = max(map(len, self.lines), default=0)
        self._say_title()
        self.renew()
        if self.follow:
            self.call_after_refresh(self._to_end)

    def _to_end(self) -> None:
        if self.follow:
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._to_end)

    def line(self, index: int, width: int) -> Text:
        if not self.lines:
            return Text("nothing printed yet", style="dim")
        text = Text(self.lines[index], no_wrap=True)
        if self.search:
            text.highlight_words([self.search], "reverse", case_sensitive=False)
        return text

    def find(self, text: str) -> None:
        """Shows the last line that holds it."""
        self.search = text
        self.refresh()
        if text:
            self.action_next_hit(-1, start=len(self.lines))

    def action_next_hit(self, direction: int, start: int | None = None) -> None:
        wanted = self.search.casefold()
        at = (self.scroll_offset.y if start is None else start) + direction
        while wanted and 0 <= at < len(self.lines):
            if wanted in self.lines[at].casefold():
                self.follow = False
                self._say_title()
                self.scroll_to(y=at, animate=False)
                return
            at += direction

    def action_follow(self) -> None:
        self.follow = not self.follow
        self._say_title()
        if self.follow:
            self.scroll_end(animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        # who scrolls up wants to read: new lines must not tear the text away
        follow = self.follow if new_value > old_value else new_value >= self.max_scroll_y
        if new_value >= self.max_scroll_y:
            follow = True
        if follow != self.follow:
            self.follow = follow
            self._say_title()

    def _say_title(self) -> None:
        job = self.about or (self._path.parent.name if self._path else "")
        follow = f"follow {self._signs.on if self.follow else self._signs.off}"
        self.border_title = as_text("  ".join(part for part in ("output", job, follow) if part))
