"""All keys of the screen below, as they are bound now."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from progtrain.tui.actions import MOVING, Doing
from progtrain.tui.look import words
from progtrain.tui.look.colours import NOW, QUIET


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Back", id="back"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="up"),
    ]

    def __init__(self, found: list[Doing], signs: words.Signs) -> None:
        super().__init__()
        self._doings = found
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
        text = Text("keys of this screen        esc goes back\n", style="bold")
        for title, lines in key_lines(self._doings):
            text.append(f"\n{title}\n" if title else "\n", style="bold")
            for keys, about in lines:
                text.append(f"{keys:>16}  ", style=NOW).append(f"{about}\n", style="not bold")
        return text.append(f"\n{self._legend}\n", style=f"not bold {QUIET}")

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by * 3, animate=False)


def key_lines(found: list[Doing]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Keys and what they do, under titles: those of the footer, the others, those of each pane, moving about last."""
    groups: dict[str, dict[str, list[str]]] = {"": {}, "also": {}}
    for doing in sorted(found, key=lambda doing: not doing.in_footer):
        if doing.id in MOVING:
            title = "moving about"
        elif doing.pane:
            title = f"in the {doing.pane}"
        else:
            title = "" if doing.in_footer else "also"
        keys = groups.setdefault(title, {}).setdefault(doing.about, [])
        keys += [key for key in doing.keys if key not in keys]
    if moving := groups.pop("moving about", None):
        groups["moving about"] = moving
    return [
        (title, [(" ".join(keys), about) for about, keys in lines.items()]) for title, lines in groups.items() if lines
    ]
