"""All keys of the screen below, as they are bound now."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from tui import words
from tui.colours import NOW, QUIET

_KEYS = {
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "question_mark": "?",
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "comma": ",",
    "full_stop": ".",
    "escape": "esc",
}
_MOVING = {"up", "down", "left", "right", "page_up", "page_down", "first", "last", "back", "help", "quit"}


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Back", id="back"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="up"),
    ]

    def __init__(self, about: Screen[object], signs: words.Signs) -> None:
        super().__init__()
        self._lines = key_lines(about)
        self._legend = (
            f"{signs.best} best so far   {signs.up} better   {signs.down} worse   {signs.same} within noise: "
            f"the 95 % interval of the paired bootstrap holds zero"
        )

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog tall"):
            yield Static(self._text(), markup=False)

    @property
    def plain(self) -> str:
        return self._text().plain

    def _text(self) -> Text:
        text = Text("keys of this screen        esc goes back\n\n", style="bold")
        for keys, description in self._lines:
            text.append(f"{keys:>16}  ", style=NOW).append(f"{description}\n")
        return text.append(f"\n{self._legend}\n", style=QUIET)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by * 3, animate=False)


def key_lines(screen: Screen[object]) -> list[tuple[str, str]]:
    """Keys and what they do: first those of the footer, then the screen's others, moving about last."""
    found: dict[tuple[int, str], list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not binding.description or not active.enabled or not binding.id:
            continue  # Textual's own, which have no name here, are those that every terminal app has
        group = 0 if binding.show else 1 if "." in binding.id or binding.id not in _MOVING else 2
        keys = found.setdefault((group, binding.tooltip or binding.description), [])
        shown = _KEYS.get(binding.key, binding.key)
        if shown not in keys:
            keys.append(shown)
    return [(" ".join(keys), description) for (_, description), keys in sorted(found.items(), key=lambda i: i[0][0])]
