"""All keys of the screen below, as they are bound now."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from progtrain.tui.actions import MOVING, AvailableAction
from progtrain.tui.look import words
from progtrain.tui.look.colours import NOW, QUIET


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Back", id="back"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="up"),
    ]

    def __init__(self, found: list[AvailableAction], signs: words.Signs) -> None:
        super().__init__()
        self._actions = found
        self._legend = (
            f"{signs.best} best so far   {signs.up} better   {signs.down} worse   {signs.same} within noise: "
            f"the 95 % interval of the paired bootstrap holds zero"
        )

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog tall"):
            yield Static(self._text(), markup=False)

    def _text(self) -> Text:
        text = Text("keys of this screen        esc goes back\n", style="bold")
        for title, lines in key_lines(self._actions):
            text.append(f"\n{title}\n" if title else "\n", style="bold")
            for keys, about in lines:
                text.append(f"{keys:>16}  ", style=NOW).append(f"{about}\n", style="not bold")
        return text.append(f"\n{self._legend}\n", style=f"not bold {QUIET}")

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by * 3, animate=False)


def key_lines(found: list[AvailableAction]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Keys and what they do, under titles: those of the footer, the others, those of each pane, moving about last."""
    groups: dict[str, dict[str, list[str]]] = {"": {}, "also": {}}
    for action in sorted(found, key=lambda action: not action.in_footer):
        if action.id in MOVING:
            title = "moving about"
        elif action.pane:
            title = f"in the {action.pane}"
        else:
            title = "" if action.in_footer else "also"
        keys = groups.setdefault(title, {}).setdefault(action.about, [])
        keys += [key for key in action.keys if key not in keys]
    if moving := groups.pop("moving about", None):
        groups["moving about"] = moving
    return [
        (title, [(" ".join(keys), about) for about, keys in lines.items()]) for title, lines in groups.items() if lines
    ]
